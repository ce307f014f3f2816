import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from bothways import RecurrentLabeler, load
from bothways.errors import ConfigError, DataError, ShapeError


def waves(count, seed=0):
    """Return noisy square waves, labelled high and low, and nothing where they change."""
    generator = np.random.default_rng(seed)
    X, y = [], []
    for _ in range(count):
        level = np.repeat(generator.permutation([0, 1, 0, 1]), generator.integers(4, 12))
        labels = np.where(level > 0, "high", "low").astype(object)
        labels[np.flatnonzero(np.diff(level))] = None
        X.append((level + generator.normal(0, 0.3, len(level)))[:, None])
        y.append(labels)
    return X, y


def small_labeller(**settings):
    return RecurrentLabeler(
        **{"hidden_size": 8, "num_layers": 1, "epochs": 15, "random_state": 0} | settings
    )


def test_a_labeller_labels_each_step():
    X, y = waves(40)
    fitted = small_labeller().fit(X, y)
    assert fitted.classes_.tolist() == ["high", "low"]
    others, truth = waves(20, seed=1)
    assert fitted.score(others, truth) > 0.9
    assert [len(own) for own in fitted.predict(others)] == [len(values) for values in others]
    alone = fitted.predict_proba(others[:1])
    np.testing.assert_allclose(alone[0], fitted.predict_proba(others)[0], atol=2e-6)
    known = np.concatenate(truth) != None  # noqa: E711 - element by element
    right = np.concatenate(fitted.predict(others)) == np.concatenate(truth)
    assert fitted.score(others, truth) == pytest.approx(right[known].mean())


def test_a_labeller_is_an_estimator(tmp_path):
    X, y = waves(20)
    fitted = small_labeller().fit(X, y)
    again = clone(fitted).fit(X, y)
    for mine, other in zip(fitted.predict_proba(X), again.predict_proba(X), strict=True):
        np.testing.assert_array_equal(mine, other)
    restored = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(restored.predict(X)[3], fitted.predict(X)[3])
    search = GridSearchCV(small_labeller(epochs=2), {"hidden_size": [2, 4]}, cv=2).fit(X, y)
    assert search.best_params_["hidden_size"] in (2, 4)
    fitted.model_.save(tmp_path / "model")
    loaded = load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict(X)[0], fitted.predict(X)[0])


@pytest.mark.parametrize("ignored", [None, "", np.nan, -1])
def test_ignored_steps_do_not_count(ignored):
    X, y = waves(12)
    for labels in y:
        labels[::2] = ignored
    fitted = small_labeller(epochs=2).fit(X, y)
    assert fitted.classes_.tolist() == ["high", "low"]
    changed = [values.copy() for values in y]
    for labels in changed:
        labels[1::4] = ignored
    assert fitted.score(X, changed) != fitted.score(X, y)
    numbers = [np.where(labels == "high", 1, 0) for labels in y]
    for own, labels in zip(numbers, y, strict=True):
        own[[label not in ("high", "low") for label in labels]] = -1
    numbered = small_labeller(epochs=2).fit(X, numbers)
    assert numbered.classes_.tolist() == [0, 1]


def test_weights_of_classes_and_sequences_count_for_steps():
    X, y = waves(20)
    flipped = [np.array([{"high": "low", "low": "high"}.get(n) for n in own]) for own in y]
    heavy = small_labeller(class_weight={"high": 50.0}).fit(X + X, y + flipped)
    assert {label for own in heavy.predict(X) for label in own} == {"high"}
    weights = np.r_[np.ones(20), np.full(20, 0.01)]
    assert small_labeller().fit(X + X, y + flipped, weights).score(X, y) > 0.9
    assert small_labeller(class_weight="balanced").fit(X, y).score(X, y) > 0.9


def test_labels_that_do_not_fit_are_named():
    X, y = waves(6)
    with pytest.raises(ShapeError, match=r"y\[2\] has shape \(3,\) but X\[2\] has"):
        small_labeller().fit(X, [*y[:2], y[2][:3], *y[3:]])
    with pytest.raises(DataError, match="y has 5 entries but X has 6 sequences"):
        small_labeller().fit(X, y[:5])
    with pytest.raises(DataError, match="y has no label"):
        small_labeller().fit(X, [np.full(len(values), -1) for values in X])
    with pytest.raises(ConfigError, match="readout is 'mean' but the labels of X are of steps"):
        small_labeller(readout="mean").fit(X, y)
