import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks

import bothways
from bothways import Dataset, RecurrentClassifier, Sequences, load
from bothways.errors import ConfigError, DataError

EXPECTED_FAILURES = {
    "check_sample_weight_equivalence_on_dense_data": "batches of a repeated sequence and of a "
    "heavy one differ",
}


@parametrize_with_checks(
    [RecurrentClassifier(hidden_size=16, num_layers=1, epochs=10, learning_rate=0.01)],
    expected_failed_checks=lambda _: EXPECTED_FAILURES,
)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


def spirals(count, seed=0):
    generator = np.random.default_rng(seed)
    sequences, labels = [], []
    for n in range(count):
        t = np.linspace(0, 6, generator.integers(8, 30))
        sign = 1 if n % 2 else -1
        sequences.append(np.stack([np.cos(t), sign * np.sin(t)], 1) + generator.normal(0, 0.1))
        labels.append("left" if n % 2 else "right")
    return sequences, np.array(labels)


def small(**settings):
    return RecurrentClassifier(
        **{"hidden_size": 8, "num_layers": 1, "epochs": 15, "random_state": 0} | settings
    )


def test_ragged_sequences_in_every_form():
    X, y = spirals(60)
    fitted = small().fit(X, y)
    assert fitted.score(*spirals(40, seed=1)) > 0.9
    assert fitted.n_features_in_ == 2
    assert fitted.classes_.tolist() == ["left", "right"]
    boxed = np.empty(len(X), object)
    boxed[:] = X
    np.testing.assert_array_equal(fitted.predict_proba(boxed), fitted.predict_proba(X))
    padded = np.stack([values[:8] for values in X])
    assert small().fit(padded, y).predict(padded).shape == (60,)
    series = [values[:, 1] for values in X]
    assert small().fit(series, y).n_features_in_ == 1


def test_a_list_of_arrays_is_a_list_of_sequences():
    X, y = spirals(30)
    series = [values[:, 1] for values in X]
    fitted = small(epochs=2).fit(series, y)
    alone = np.concatenate([fitted.predict_proba([values]) for values in series])
    np.testing.assert_allclose(alone, fitted.predict_proba(series), atol=1e-6)
    nested = [values.tolist() for values in X]
    assert small(epochs=2).fit(nested, y).n_features_in_ == 2


def test_a_run_gives_the_same_weights(tmp_path):
    X, y = spirals(50)
    settings = {"hidden_size": 8, "epochs": 4, "validation_fraction": 0.2, "seed": 5}
    names, labels = np.unique(y, return_inverse=True)
    dataset = Dataset("spirals", Sequences.from_arrays(X, labels), None, tuple(names))
    run = bothways.train(dataset, "time-series", out=tmp_path / "run", **settings)
    fitted = RecurrentClassifier(
        hidden_size=8, epochs=4, validation_fraction=0.2, random_state=5
    ).fit(X, y)
    trained = run.load().classifier.state_dict()
    for name, tensor in fitted.model_.classifier.state_dict().items():
        assert torch.equal(tensor, trained[name]), name
    fitted.model_.save(tmp_path / "saved")
    np.testing.assert_array_equal(load(tmp_path / "saved").predict(X), fitted.predict(X))


def test_an_ensemble_is_a_setting(tmp_path):
    X, y = spirals(40)
    fitted = small(members=3).fit(X, y)
    assert len(fitted.model_.classifier.networks) == 3
    assert fitted.score(*spirals(40, seed=1)) > 0.9
    fitted.model_.save(tmp_path / "saved")
    found = load(tmp_path / "saved").predict_proba(X)
    np.testing.assert_array_equal(found, fitted.model_.predict_proba(X))


def test_pipeline_grid_search_and_cross_validation():
    X, y = spirals(40)
    boxed = np.empty(len(X), object)
    boxed[:] = X
    halved = FunctionTransformer(lambda some: [values[::2] for values in some])
    assert cross_val_score(make_pipeline(halved, small(epochs=40)), boxed, y, cv=2).mean() > 0.7
    slow = {"normalization": "dataset", "readout": "max"}  # one epoch does not suffice
    grid = {"epochs": [1, 15], "settings": [{"cell": "rnn"} | slow, {"cell": "lstm"} | slow]}
    search = GridSearchCV(small(), grid, cv=2).fit(boxed, y)
    expected = [
        cross_val_score(small(epochs=epochs, settings=settings), boxed, y, cv=2).mean()
        for epochs in grid["epochs"]
        for settings in grid["settings"]
    ]
    assert search.cv_results_["mean_test_score"].tolist() == expected
    assert max(expected[:2]) < max(expected[2:]) > 0.95
    assert search.best_params_["epochs"] == search.best_estimator_.n_iter_ == 15
    best = search.best_estimator_.model_.manifest.model
    assert best.cell == search.best_params_["settings"]["cell"]
    assert search.score(*spirals(40, seed=1)) > 0.9


def test_clone_pickle_and_random_state():
    X, y = spirals(30)
    fitted = small().fit(X, y)
    again = clone(fitted).fit(X, y)
    np.testing.assert_array_equal(fitted.predict_proba(X), again.predict_proba(X))
    restored = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(fitted.predict_proba(X), restored.predict_proba(X))
    other = small(random_state=1).fit(X, y)
    assert (other.predict_proba(X) != fitted.predict_proba(X)).any()


def test_sample_and_class_weights():
    X, y = spirals(40)
    flipped = np.where(y == "left", "right", "left")
    weights = np.r_[np.ones(40), np.full(40, 0.01)]
    fitted = small(epochs=25).fit(X + X, np.r_[y, flipped], weights)
    assert fitted.score(X, y) > 0.9
    heavy = small(class_weight={"left": 50.0}).fit(X + X, np.r_[y, flipped])
    assert (heavy.predict(X) == "left").all()


def test_balanced_class_weights_are_those_of_the_frequencies():
    X, y = spirals(40)
    chosen = np.r_[np.flatnonzero(y == "left")[:4], np.flatnonzero(y == "right")[:16]]
    X, y = [X[n] for n in chosen], y[chosen]
    balanced, told, plain = (
        small(epochs=3, class_weight=weights).fit(X, y).predict_proba(X)
        for weights in ("balanced", {"left": 4}, None)  # powers of 2: no rounding
    )
    np.testing.assert_array_equal(balanced, told)
    assert np.abs(balanced - plain).max() > 0.01


def test_progress_is_shown_on_request(capsys):
    X, y = spirals(20)
    small(epochs=2).fit(X, y)
    assert capsys.readouterr().out == ""
    small(epochs=2, verbose=1).fit(X, y)
    assert "Epoch [2/2]" in capsys.readouterr().out


def test_bad_input_is_named():
    X, y = spirals(20)
    with pytest.raises(ConfigError, match="setting 'hidden' is unknown"):
        small(settings={"hidden": 3}).fit(X, y)
    with pytest.raises(ConfigError, match="class_weight is 'bogus'"):
        small(class_weight="bogus").fit(X, y)
    with pytest.raises(ValueError, match="Sample weights must contain at least one non-zero"):
        small().fit(X, y, np.zeros(20))
    with pytest.raises(ConfigError, match=r"class_weights is \(0.0, 0.0\); expected one number"):
        small(class_weight={"left": 0.0, "right": 0.0}).fit(X, y)
    fitted = small(epochs=1).fit(X, y)
    with pytest.raises(DataError, match="X has 3 features, but RecurrentClassifier is expecting 2"):
        fitted.predict([np.ones((4, 3))])
    with pytest.raises(DataError, match=r"X\[1\] has shape \(0, 2\)"):
        fitted.predict([np.ones((4, 2)), np.ones((0, 2))])
    with pytest.raises(DataError, match=r"X\[0\] holds nan at step 0, feature 0"):
        small().fit([values * [[np.nan]] if n == 0 else values for n, values in enumerate(X)], y)
    with pytest.raises(ConfigError, match=r"settings is \['steps'\]; expected a dict of settings"):
        small(settings=["steps"]).fit(X, y)
    with pytest.raises(ConfigError, match=r"crop_steps is 4 but X has one label .*\. Omit crop_s"):
        small(settings={"crop_steps": 4}).fit(X, y)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ([np.zeros((3, 2), complex)], r"X\[0\] has dtype complex128; expected an array of numbers"),
        (np.zeros((1, 3, 2), complex), r"X has dtype complex128; expected an array of numbers"),
        ([np.array([["1", "2"]])], r"X\[0\] has dtype <U1; expected an array of numbers"),
        ([[["a", "b"]]], r"X\[0\] is \[\['a', 'b'\]\]; expected an array of numbers"),
        ([[[1, 2], [3]]], r"X\[0\] is \[\[1, 2\], \[3\]\]; expected an array of numbers"),
        (["abc"], r"X\[0\] is 'abc'; expected an array of numbers"),
        ([None], r"X\[0\] is None; expected an array of numbers"),
        ("abc", "X is of type str; expected a list of arrays"),
        (None, "X is None; expected a list of arrays"),
        ({"a": 1}, "X is of type dict; expected a list of arrays"),
        ((n for n in range(3)), "X is of type generator; expected a list of arrays"),
        (np.float64(3), "X is a single value; expected a list of arrays"),
        ([], "X is empty; expected a list of arrays"),
        (np.empty(0, object), "X is empty; expected a list of arrays"),
        ([1.0, 2.0], r"X has 2 numbers; .* Reshape your data, to \(1, 2\) if it is one series"),
        ([np.full((3, 2), 1e300)], r"X\[0\]\[0, 0\] is 1e\+300, too large for float32"),
    ],
)
def test_input_that_is_not_sequences_is_named(X, message):
    fitted = small(epochs=1).fit(*spirals(4))
    with pytest.raises(DataError, match=f"^{message}") as caught:
        fitted.predict(X)
    assert "\n" not in str(caught.value)


def test_an_unknown_class_weight_suggests_the_nearest_class():
    with pytest.raises(ConfigError, match="class_weight names 'lft'; did you mean 'left'"):
        small(class_weight={"lft": 5}).fit(*spirals(10))


@pytest.mark.parametrize("weights", [{"lft": 5}, {"left": -1.0}])
def test_invalid_class_weights_are_refused(weights):
    with pytest.raises(ConfigError, match=r"class_weight .*xpected a weight of 0 or more for"):
        small(class_weight=weights).fit(*spirals(10))


def test_shapes_at_levels_and_scales_over_decades_need_a_view_of_their_own_sequence():
    X, y = spirals(80)
    generator = np.random.default_rng(0)
    X = [values * 10 ** generator.uniform(-3, 3) + generator.normal(0, 100) for values in X]
    scores = {
        name: small(normalization=name, settings={"readout": "max"})
        .fit(X[:40], y[:40])
        .score(X[40:], y[40:])
        for name in ("dataset", "sequence", "both")
    }
    assert scores["dataset"] < 0.8
    assert min(scores["sequence"], scores["both"]) > 0.9


def test_the_length_in_steps_and_the_batch_size_are_parameters():
    X, y = spirals(40)
    search = GridSearchCV(small(epochs=None), {"steps": [8, 16], "batch_size": ["auto"]}, cv=2)
    boxed = np.empty(len(X), object)
    boxed[:] = X
    search.fit(boxed, y)
    training = search.best_estimator_.model_.manifest.provenance.training
    assert (training.steps, training.epochs) == (search.best_params_["steps"], None)
    assert training.batch_size == "auto"
