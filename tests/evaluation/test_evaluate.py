from dataclasses import asdict

import numpy as np
import pytest
import torch

from bothways import ModelConfig, SequenceClassifier, Sequences
from bothways.data.batching import IGNORED
from bothways.evaluation import evaluate as evaluation
from bothways.evaluation.evaluate import BATCH_SIZE, batch_steps, compute_logits, evaluate
from bothways.evaluation.segments import SegmentTally


def make_case(count):
    generator = np.random.default_rng(0)
    arrays = [generator.normal(size=(n % 7 + 1, 2)).astype(np.float32) for n in range(count)]
    sequences = Sequences.from_arrays(arrays, labels=np.arange(count) % 3)
    torch.manual_seed(0)
    return SequenceClassifier(ModelConfig(input_size=2, hidden_size=4, num_classes=3)), sequences


def test_logits_are_in_the_order_of_the_sequences():
    model, sequences = make_case(BATCH_SIZE + 20)
    logits = compute_logits(model, sequences)
    model.eval()
    for n in (0, 5, BATCH_SIZE + 19):
        batch = sequences.batch([n])
        torch.testing.assert_close(logits[n], model(batch.inputs, batch.lengths)[0])


def test_logits_are_without_dropout_and_keep_the_mode():
    model, sequences = make_case(10)
    model.train()
    assert torch.equal(compute_logits(model, sequences), compute_logits(model, sequences))
    assert model.training


def test_on_batch_receives_the_number_of_rows():
    model, sequences = make_case(BATCH_SIZE + 20)
    rows = []
    evaluate(model, sequences, ("a", "b", "c"), rows.append)
    assert rows == [BATCH_SIZE, 20]


def test_evaluate_counts_its_own_predictions():
    model, sequences = make_case(30)
    predicted = compute_logits(model, sequences).argmax(dim=1)
    metrics = evaluate(model, sequences, ("a", "b", "c"))
    assert metrics.correct == int((predicted == sequences.labels).sum())
    assert metrics.count == 30


def test_a_batch_has_a_bounded_number_of_steps(monkeypatch):
    model, sequences = make_case(40)
    whole = compute_logits(model, sequences)
    monkeypatch.setattr(evaluation, "BATCH_STEPS", 21)
    rows = []
    evaluate(model, sequences, ("a", "b", "c"), rows.append)
    assert sum(rows) == 40
    assert rows[0] == 10  # of up to two steps: the eleventh would make 22
    assert rows[-2] == 3  # of seven
    torch.testing.assert_close(compute_logits(model, sequences), whole)


def test_a_batch_of_many_features_has_fewer_steps(monkeypatch):
    """Preprocessing makes eight values of the two features of a time step."""
    _, sequences = make_case(40)
    config = ModelConfig(input_size=2, num_classes=3, hidden_size=4, normalization="both")
    model = SequenceClassifier(config)
    whole = compute_logits(model, sequences)
    monkeypatch.setattr(evaluation, "BATCH_VALUES", 8 * 21 + 7)
    rows = []
    evaluate(model, sequences, ("a", "b", "c"), rows.append)
    assert rows[0] == 10  # of up to two steps: the eleventh would make 22
    assert sum(rows) == 40
    torch.testing.assert_close(compute_logits(model, sequences), whole)


@pytest.mark.parametrize(("features", "steps"), [(1, 1 << 15), (128, 1 << 15), (129, 32513)])
def test_a_batch_has_at_most_four_million_values(features, steps):
    assert batch_steps(ModelConfig(input_size=features, num_classes=2)) == steps


def test_a_batch_has_a_step_whatever_the_number_of_features(monkeypatch):
    monkeypatch.setattr(evaluation, "BATCH_VALUES", 100)
    assert batch_steps(ModelConfig(input_size=101, num_classes=2)) == 1


def labeled_steps(count=9):
    """Return a labeler and sequences of which every third step is ignored."""
    _, sequences = make_case(count)
    generator = np.random.default_rng(1)
    labels = [generator.integers(0, 3, n) for n in sequences.lengths.tolist()]
    for own in labels:
        own[2::3] = IGNORED
    torch.manual_seed(0)
    config = ModelConfig(input_size=2, hidden_size=4, num_classes=3, readout="step")
    return SequenceClassifier(config).eval(), sequences.with_step_labels(labels), labels


def test_logits_of_time_steps_are_concatenated():
    model, sequences, _ = labeled_steps()
    with torch.no_grad():
        apart = [model(values[None])[0] for values in sequences.rows()]
    torch.testing.assert_close(compute_logits(model, sequences), torch.cat(apart))


def test_metrics_of_time_steps_exclude_ignored_steps():
    model, sequences, labels = labeled_steps()
    with torch.no_grad():
        predicted = [model(values[None])[0].argmax(dim=1).numpy() for values in sequences.rows()]
    known = [(own[own >= 0], mine[own >= 0]) for own, mine in zip(labels, predicted, strict=True)]
    metrics = evaluate(model, sequences, ("a", "b", "c"))
    assert metrics.count == sum(len(own) for own, _ in known)
    assert metrics.correct == sum(int((own == mine).sum()) for own, mine in known)
    segments = SegmentTally()
    for own, mine in known:
        segments.add(own, mine)
    assert asdict(metrics.segments) == pytest.approx(asdict(segments.metrics()))
