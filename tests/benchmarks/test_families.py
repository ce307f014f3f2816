"""Families of generated sequences: reproducible, and their best classifier knows the generator."""

import numpy as np
import pytest
import torch
from families import FAMILIES, FIRST_DEVELOPMENT_SEED

from bothways.data.dataset import check_values

parametrized = pytest.mark.parametrize("family", FAMILIES.values(), ids=list(FAMILIES))


@parametrized
def test_a_seed_determines_the_dataset(family):
    first, again, other = (family.dataset(seed, count=12) for seed in (7, 7, 8))
    assert first.train.fingerprint() == again.train.fingerprint()
    assert first.test.fingerprint() == again.test.fingerprint()
    assert other.train.fingerprint() != first.train.fingerprint()
    assert not torch.equal(first.train.steps[:50], first.test.steps[:50])


@parametrized
def test_sizes_are_as_documented(family):
    dataset = family.dataset(FIRST_DEVELOPMENT_SEED)
    check_values(dataset)
    assert len(dataset.train) == family.train_count
    assert len(dataset.test) == family.test_count
    assert dataset.train.is_ragged
    assert bool((dataset.train.label_counts(len(family.classes)) > 0).all())


@parametrized
def test_probabilities_of_the_best_classifier_are_calibrated(family):
    """Its mean confidence is its accuracy, and its entropy the log loss, only if it is exact.

    Tolerance: four standard errors, which follow from the probabilities.
    """
    of_steps = family.name == "step-labels"
    sequences = family.draw(np.random.default_rng(1), 2 if of_steps else 600)
    scores = family.log_posteriors([row.double().numpy() for row in sequences.rows()])
    scores -= np.logaddexp.reduce(scores, axis=1, keepdims=True)
    labels = sequences.flat_labels().numpy()
    count = len(labels) / (100 if of_steps else 1)  # the steps of a stretch depend on each other
    probabilities, confidence = np.exp(scores), np.exp(scores.max(axis=1))
    hits = scores.argmax(axis=1) == labels
    error = np.sqrt((confidence * (1 - confidence)).mean() / count)
    assert abs(hits.mean() - confidence.mean()) < 4 * error + 1e-9
    entropy = -(probabilities * scores).sum(axis=1)
    variance = (probabilities * scores**2).sum(axis=1) - entropy**2
    log_loss = -scores[np.arange(len(labels)), labels].mean()
    assert abs(log_loss - entropy.mean()) < 4 * np.sqrt(variance.mean() / count) + 1e-9
    np.testing.assert_array_equal(family.best_hits(sequences), hits)


def test_the_standard_error_of_labels_of_steps_is_that_of_recordings():
    accuracy, error = FAMILIES["step-labels"].bayes_accuracy(2)
    assert 0.93 < accuracy < 1
    assert 0.001 < error < 0.03
