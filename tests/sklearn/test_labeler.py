import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from bothways import RecurrentLabeler, load
from bothways.errors import ConfigError, DataError, ShapeError


def waves(count, seed=0):
    """Return noisy square waves, labeled high and low, with no label where they change."""
    generator = np.random.default_rng(seed)
    X, y = [], []
    for _ in range(count):
        level = np.repeat(generator.permutation([0, 1, 0, 1]), generator.integers(4, 12))
        labels = np.where(level > 0, "high", "low").astype(object)
        labels[np.flatnonzero(np.diff(level))] = None
        X.append((level + generator.normal(0, 0.3, len(level)))[:, None])
        y.append(labels)
    return X, y


def small_labeler(**settings):
    return RecurrentLabeler(
        **{"hidden_size": 8, "num_layers": 1, "epochs": 15, "random_state": 0} | settings
    )


def test_a_labeler_predicts_a_class_for_each_time_step():
    X, y = waves(40)
    fitted = small_labeler().fit(X, y)
    assert fitted.classes_.tolist() == ["high", "low"]
    others, truth = waves(20, seed=1)
    assert fitted.score(others, truth) > 0.9
    assert [len(own) for own in fitted.predict(others)] == [len(values) for values in others]
    alone = fitted.predict_proba(others[:1])
    np.testing.assert_allclose(alone[0], fitted.predict_proba(others)[0], atol=2e-6)
    known = np.concatenate(truth) != None  # noqa: E711 - element by element
    right = np.concatenate(fitted.predict(others)) == np.concatenate(truth)
    assert fitted.score(others, truth) == pytest.approx(right[known].mean())


def test_a_labeler_is_an_estimator(tmp_path):
    X, y = waves(20)
    fitted = small_labeler().fit(X, y)
    again = clone(fitted).fit(X, y)
    for mine, other in zip(fitted.predict_proba(X), again.predict_proba(X), strict=True):
        np.testing.assert_array_equal(mine, other)
    restored = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(restored.predict(X)[3], fitted.predict(X)[3])
    fitted.model_.save(tmp_path / "model")
    loaded = load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict(X)[0], fitted.predict(X)[0])


def test_grid_search_gives_the_scores_of_its_settings():
    X, y = waves(40)
    grid = {"epochs": [1, 15]}
    search = GridSearchCV(small_labeler(learning_rate=0.01), grid, cv=2).fit(X, y)
    halves = (slice(0, 20), slice(20, 40))
    expected = [
        np.mean(
            [
                small_labeler(learning_rate=0.01, epochs=epochs)
                .fit(X[one], y[one])
                .score(X[other], y[other])
                for one, other in (halves, halves[::-1])
            ]
        )
        for epochs in grid["epochs"]
    ]
    assert search.cv_results_["mean_test_score"] == pytest.approx(expected)
    assert expected[0] < expected[1] > 0.95
    assert search.best_params_ == {"epochs": 15}
    assert search.best_estimator_.n_iter_ == 15
    assert search.score(X, y) == search.best_estimator_.score(X, y)


@pytest.mark.parametrize("ignored", [None, "", np.nan, -1])
def test_ignored_steps_do_not_count(ignored):
    """They affect neither training nor the score."""
    X, y = waves(12)
    numbers = [np.where(labels == "high", 0, 1) for labels in y]
    for labels, own in zip(y, numbers, strict=True):
        own[[label is None for label in labels]] = -1
        labels[[label is None for label in labels]] = ignored
        labels[::3] = ignored
        own[::3] = -1
    fitted = small_labeler(epochs=2).fit(X, y)
    assert fitted.classes_.tolist() == ["high", "low"]
    numbered = small_labeler(epochs=2).fit(X, numbers)
    assert numbered.classes_.tolist() == [0, 1]
    for mine, other in zip(fitted.predict_proba(X), numbered.predict_proba(X), strict=True):
        np.testing.assert_array_equal(mine, other)
    known = np.concatenate(numbers) >= 0
    right = np.concatenate(numbered.predict(X)) == np.concatenate(numbers)
    assert fitted.score(X, y) == numbered.score(X, numbers) == right[known].mean()
    for number in (0, 1):
        others = [np.where(own < 0, number, own) for own in numbers]
        counted = small_labeler(epochs=2).fit(X, others)
        assert np.abs(counted.predict_proba(X)[0] - numbered.predict_proba(X)[0]).max() > 1e-4


def test_weights_of_classes_and_sequences_count_for_steps():
    X, y = waves(20)
    flipped = [np.array([{"high": "low", "low": "high"}.get(n) for n in own]) for own in y]
    heavy = small_labeler(class_weight={"high": 50.0}).fit(X + X, y + flipped)
    assert {label for own in heavy.predict(X) for label in own} == {"high"}
    weights = np.r_[np.ones(20), np.full(20, 0.01)]
    assert small_labeler().fit(X + X, y + flipped, weights).score(X, y) > 0.9
    X, few = X[:16], [own.copy() for own in y[:16]]
    for own in few:  # a power of 2 of each label in all, so that no weight is rounded
        for name, count in (("high", 2), ("low", 4)):
            own[np.flatnonzero(own == name)[count:]] = None
    balanced, same, plain = (
        small_labeler(epochs=6, learning_rate=0.01, class_weight=chosen)
        .fit(X, few)
        .predict_proba(X)[0]
        for chosen in ("balanced", {"high": 2}, None)
    )
    np.testing.assert_array_equal(balanced, same)
    assert np.abs(balanced - plain).max() > 1e-3


def test_incompatible_labels_are_refused():
    X, y = waves(6)
    with pytest.raises(ShapeError, match=r"y\[2\] has shape \(3,\) but X\[2\] has"):
        small_labeler().fit(X, [*y[:2], y[2][:3], *y[3:]])
    with pytest.raises(DataError, match="y has 5 entries but X has 6 sequences"):
        small_labeler().fit(X, y[:5])
    with pytest.raises(DataError, match="y has no label"):
        small_labeler().fit(X, [np.full(len(values), -1) for values in X])
    with pytest.raises(ConfigError, match="readout is 'mean' but X has a label for each"):
        small_labeler(readout="mean").fit(X, y)
