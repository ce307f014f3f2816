"""Metrics of whole recordings, from those of their windows."""

import numpy as np
import pytest
import torch

from bothways import DataOptions, ModelConfig, SequenceClassifier, open_dataset
from bothways.cli.print_metrics import print_accuracies, print_metrics
from bothways.data.splitting import hold_out
from bothways.evaluation.evaluate import compute_logits, evaluate
from bothways.evaluation.metrics import classification_metrics
from bothways.evaluation.recordings import labels_of_recordings, mean_over_recordings

LENGTHS = (25, 7, 40, 31, 10, 55)  # windows of 10: 2, 1 (short), 4, 3, 1, 5


@pytest.fixture
def windows(tmp_path):
    generator = np.random.default_rng(0)
    rows = [
        f"r{n},{generator.normal()},{'ab'[n % 2]}"
        for n, length in enumerate(LENGTHS)
        for _ in range(length)
    ]
    (tmp_path / "x.csv").write_text("\n".join(["id,x,label", *rows]))
    return open_dataset(str(tmp_path / "x.csv"), DataOptions(window=10))


def test_windows_know_their_recording(windows):
    found = windows.train.recordings.tolist()
    assert found == [0, 0, 1, 2, 2, 2, 2, 3, 3, 3, 4, 5, 5, 5, 5, 5]
    assert windows.train.subset(torch.tensor([0, 3, 8])).recordings.tolist() == [0, 2, 3]


def test_whole_sequences_have_no_recordings(tmp_path):
    (tmp_path / "x.csv").write_text("id,x,label\na,1,u\na,2,u\nb,2,v\nb,5,v\n")
    assert open_dataset(str(tmp_path / "x.csv")).train.recordings is None


def test_means_do_not_depend_on_the_order():
    generator = np.random.default_rng(1)
    scores, recordings = generator.random((50, 3)), generator.integers(0, 7, 50)
    order = generator.permutation(50)
    expected = [scores[recordings == n].mean(axis=0) for n in range(7)]
    for chosen in (np.arange(50), order):
        found = mean_over_recordings(scores[chosen], recordings[chosen])
        np.testing.assert_allclose(found, expected)
    labels = 10 + recordings
    assert labels_of_recordings(labels[order], recordings[order]).tolist() == list(range(10, 17))


def test_evaluate_averages_probabilities(windows):
    torch.manual_seed(0)
    model = SequenceClassifier(ModelConfig(input_size=1, hidden_size=4, num_classes=2)).eval()
    metrics = evaluate(model, windows.train, windows.classes)
    assert metrics.count == 16
    probabilities = compute_logits(model, windows.train).double().softmax(dim=1).numpy()
    bounds = np.cumsum([2, 1, 4, 3, 1])
    means = np.stack([part.mean(axis=0) for part in np.split(probabilities, bounds)])
    expected = classification_metrics(means, np.arange(6) % 2, windows.classes)
    assert metrics.recordings.count == 6
    assert metrics.recordings.confusion_matrix == expected.confusion_matrix
    assert metrics.recordings.log_loss == pytest.approx(expected.log_loss)


def test_a_held_out_part_has_whole_recordings(windows):
    training, held_out = hold_out(windows, 0.3, seed=0)
    assert not set(training.recordings.tolist()) & set(held_out.recordings.tolist())


def test_both_are_printed(windows, capsys):
    model = SequenceClassifier(ModelConfig(input_size=1, hidden_size=4, num_classes=2)).eval()
    metrics = evaluate(model, windows.train, windows.classes)
    print_accuracies({"train": metrics})
    windows, recordings = capsys.readouterr().out.splitlines()
    assert windows.startswith(f"train:      Got {metrics.correct} / 16 with accuracy ")
    assert recordings.startswith(f"            Got {metrics.recordings.correct} / 6 with accuracy ")
    print_metrics("train", metrics)
    out = capsys.readouterr().out
    assert "train, windows: Got" in out
    assert "train, recordings: Got" in out
