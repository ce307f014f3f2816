import numpy as np
import torch

from bothways import ModelConfig, SequenceClassifier, Sequences
from bothways.evaluation import BATCH_SIZE, compute_logits, evaluate


def make_case(count):
    generator = np.random.default_rng(0)
    arrays = [generator.normal(size=(n % 7 + 1, 2)).astype(np.float32) for n in range(count)]
    sequences = Sequences.from_arrays(arrays, labels=np.arange(count) % 3)
    torch.manual_seed(0)
    return SequenceClassifier(ModelConfig(input_size=2, hidden_size=4, num_classes=3)), sequences


def test_logits_come_in_the_order_of_the_sequences():
    model, sequences = make_case(BATCH_SIZE + 20)
    logits = compute_logits(model, sequences)
    model.eval()
    for n in (0, 5, BATCH_SIZE + 19):
        batch = sequences.batch([n])
        torch.testing.assert_close(logits[n], model(batch.inputs, batch.lengths)[0])


def test_mode_is_left_as_it_was_and_dropout_is_off():
    model, sequences = make_case(10)
    model.train()
    assert torch.equal(compute_logits(model, sequences), compute_logits(model, sequences))
    assert model.training


def test_on_batch_hears_of_every_row():
    model, sequences = make_case(BATCH_SIZE + 20)
    rows = []
    compute_logits(model, sequences, rows.append)
    assert rows == [BATCH_SIZE, 20]


def test_evaluate_counts_its_own_predictions():
    model, sequences = make_case(30)
    predicted = compute_logits(model, sequences).argmax(dim=1)
    figures = evaluate(model, sequences, ("a", "b", "c"))
    assert figures["correct"] == int((predicted == sequences.labels).sum())
    assert figures["count"] == 30
