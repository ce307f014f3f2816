"""Training in several threads gives the same bits as in one: no random state is shared."""

import threading

import numpy as np
import pytest
import torch
from joblib import parallel_config
from sklearn.model_selection import cross_val_score

from bothways import ModelConfig, RecurrentClassifier, SequenceClassifier
from bothways.kernels.draws import Draws
from bothways.nn.initialization import new_classifier

rng = np.random.default_rng(0)
LABELS = np.arange(40) % 2
ARRAYS = [rng.normal(label, 2, (rng.integers(5, 12), 3)) for label in LABELS]
SETTINGS = {
    "hidden_size": 8,
    "num_layers": 2,
    "dropout": 0.3,
    "epochs": 3,
    "settings": {"initial_state": "normal", "input_jitter": 0.1, "stem_channels": None},
}


def probabilities(seed, **settings):
    estimator = RecurrentClassifier(random_state=seed, **(SETTINGS | settings))
    return estimator.fit(ARRAYS, LABELS).predict_proba(ARRAYS)


@pytest.mark.parametrize("backend", ["auto", "torch", "reference"])
def test_fits_in_threads_match_fits_one_by_one(backend):
    settings = {"settings": SETTINGS["settings"] | {"backend": backend}}
    alone = [probabilities(seed, **settings) for seed in range(4)]
    together = [None] * 4

    def fit(seed):
        together[seed] = probabilities(seed, **settings)

    threads = [threading.Thread(target=fit, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        torch.rand(3)  # other code draws random numbers too
    for own, other in zip(together, alone, strict=True):
        np.testing.assert_array_equal(own, other)


def test_joblib_threads_give_the_same_scores():
    estimator = RecurrentClassifier(random_state=0, **SETTINGS)
    expected = cross_val_score(estimator, ARRAYS, LABELS, cv=4)
    with parallel_config("threading", n_jobs=4):
        found = cross_val_score(estimator, ARRAYS, LABELS, cv=4)
    np.testing.assert_array_equal(found, expected)


def test_training_does_not_change_the_generator_of_torch():
    torch.manual_seed(7)
    expected = torch.rand(5)
    torch.manual_seed(7)
    probabilities(0)
    assert torch.equal(torch.rand(5), expected)


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"readout": "attention", "num_layers": 2},
        {"stem_channels": 4},
        {"categories": (0, 5, 9), "missing": "mask", "calibrate": True, "normalization": "dataset"},
    ],
)
def test_initial_weights_match_torch(cell, options):
    config = ModelConfig(cell=cell, input_size=3, hidden_size=5, num_classes=2, **options)
    torch.manual_seed(3)
    expected = SequenceClassifier(config).state_dict()
    found = new_classifier(config, torch.Generator().manual_seed(3)).state_dict()
    assert list(found) == list(expected)
    for name, weight in expected.items():
        assert torch.equal(found[name], weight), name


@pytest.mark.parametrize("backend", ["compiled", "torch", "reference"])
@pytest.mark.parametrize("lengths", [None, [6, 2, 5]])
def test_the_generator_alone_decides_what_dropout_draws(backend, lengths):
    config = ModelConfig(input_size=3, hidden_size=5, num_layers=3, num_classes=2, dropout=0.5)
    model = SequenceClassifier(config, backend=backend)
    inputs, found = torch.randn(3, 6, 3), []
    for seed, other in ((5, 0), (5, 1), (6, 1)):
        torch.manual_seed(other)
        model.draw_from(Draws(torch.Generator().manual_seed(seed)))
        found.append(model(inputs, lengths))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


@pytest.mark.parametrize(
    ("backend", "lengths"),
    [
        ("compiled", None),
        ("compiled", [6, 2, 5]),
        ("torch", [6, 2, 5]),  # without lengths, torch's own layers draw
        ("reference", None),
        ("reference", [6, 2, 5]),
    ],
)
def test_a_generator_gives_the_dropout_of_its_seed(backend, lengths):
    config = ModelConfig(input_size=3, hidden_size=5, num_layers=3, num_classes=2, dropout=0.5)
    model = SequenceClassifier(config, backend=backend)
    inputs = torch.randn(3, 6, 3)
    torch.manual_seed(5)
    expected = model(inputs, lengths)
    model.draw_from(Draws(torch.Generator().manual_seed(5)))
    assert torch.equal(model(inputs, lengths), expected)
