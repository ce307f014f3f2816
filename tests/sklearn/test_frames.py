"""Data frames, panels, axes, large constants and sample weights of the estimators."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch

import bothways
from bothways import RecurrentClassifier, RecurrentLabeler, load
from bothways.errors import ConfigError, DataError, ShapeError

NAMES = ["ax", "ay", "az"]
rng = np.random.default_rng(0)
LABELS = np.array(["calm", "rough"] * 15)
ARRAYS = [
    rng.normal(0, 1 + 2 * (label == "rough"), (rng.integers(5, 12), 3)) * [1, 5, 0.2]
    for label in LABELS
]
FRAMES = {"pandas": pd.DataFrame, "polars": pl.DataFrame}
frames = pytest.mark.parametrize("package", FRAMES)


def as_frames(package, arrays=ARRAYS, names=NAMES):
    kind = FRAMES[package]
    return [kind({n: array[:, i] for i, n in enumerate(names)}) for array in arrays]


def estimator(kind=RecurrentClassifier, **options):
    return kind(hidden_size=6, epochs=2, random_state=0, **options)


@frames
def test_columns_are_matched_by_name(package):
    fitted = estimator().fit(as_frames(package), LABELS)
    assert fitted.feature_names_in_.tolist() == NAMES
    expected = estimator().fit(ARRAYS, LABELS).predict_proba(ARRAYS)
    np.testing.assert_array_equal(fitted.predict_proba(as_frames(package)), expected)
    swapped = [frame[["az", "ax", "ay"]] for frame in as_frames(package)]
    np.testing.assert_array_equal(fitted.predict_proba(swapped), expected)


@frames
def test_a_saved_model_matches_columns_by_name(package, tmp_path):
    fitted = estimator().fit(as_frames(package), LABELS)
    fitted.model_.save(tmp_path / "model")
    model = load(tmp_path / "model")
    expected = model.predict_proba(ARRAYS)
    swapped = [frame[["az", "ax", "ay"]] for frame in as_frames(package)]
    np.testing.assert_array_equal(model.predict_proba(swapped), expected)
    with pytest.raises(DataError, match="has no column 'ay'"):
        model.predict([frame[["az", "ax"]] for frame in as_frames(package)])


@frames
@pytest.mark.parametrize("mixed", [False, True])
def test_missing_and_unknown_columns_are_refused(package, mixed):
    fitted = estimator().fit(as_frames(package), LABELS)
    less = [frame[["ax", "ay"]] for frame in as_frames(package)]
    more = as_frames(package, [np.c_[a, a[:, :1]] for a in ARRAYS], [*NAMES, "extra"])
    if mixed:  # only the second frame is wrong
        less, more = as_frames(package)[:1] + less[1:], as_frames(package)[:1] + more[1:]
    with pytest.raises(DataError, match=rf"X\[{int(mixed)}\] has no column 'az'; expected ax, ay"):
        fitted.predict(less)
    with pytest.raises(DataError, match=rf"X\[{int(mixed)}\] has a column 'extra' that was unseen"):
        fitted.predict(more)


def test_frames_of_different_columns_are_refused_in_training():
    mixed = as_frames("pandas")
    mixed[3] = mixed[3].rename(columns={"ay": "y"})
    with pytest.raises(DataError, match=r"X\[3\] has a column 'y' that was unseen .* mean 'ay'"):
        estimator().fit(mixed, LABELS)
    mixed[3] = ARRAYS[3]
    with pytest.raises(DataError, match=r"X\[3\] is a ndarray; expected a data frame"):
        estimator().fit(mixed, LABELS)


def test_missing_or_unexpected_names_cause_a_warning():
    fitted = estimator().fit(as_frames("pandas"), LABELS)
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        fitted.predict(ARRAYS)
    fitted.fit(ARRAYS, LABELS)
    assert not hasattr(fitted, "feature_names_in_")
    with pytest.warns(UserWarning, match="was fitted without feature names"):
        fitted.predict(as_frames("pandas"))


def panel(arrays, shuffle=None):
    """Return the frame with an index (sequence, time) that sktime calls pd-multiindex."""
    parts = [pd.DataFrame(array, columns=NAMES) for array in arrays]
    frame = pd.concat(parts, keys=[f"s{n:02}" for n in range(len(arrays))], names=["case", "time"])
    return frame if shuffle is None else frame.sample(frac=1, random_state=shuffle)


def test_a_panel_is_one_sequence_for_each_value_of_the_first_level():
    expected = estimator().fit(ARRAYS, LABELS).predict_proba(ARRAYS)
    fitted = estimator().fit(panel(ARRAYS), LABELS)
    assert fitted.n_features_in_ == 3
    np.testing.assert_array_equal(fitted.predict_proba(panel(ARRAYS)), expected)
    mixed = panel(ARRAYS, shuffle=1)
    order = [int(name[1:]) for name in dict.fromkeys(mixed.index.get_level_values(0))]
    np.testing.assert_array_equal(fitted.predict_proba(mixed), expected[order])
    found = fitted.model_.predict_proba(panel(ARRAYS))
    np.testing.assert_array_equal(found.astype(np.float32), expected)


def test_text_in_a_frame_is_refused():
    words = as_frames("pandas")
    words[2]["ay"] = "high"
    with pytest.raises(DataError, match=r"X\[2\]: column 'ay' has type .*; expected numbers"):
        estimator().fit(words, LABELS)


def test_labelers_take_frames_too():
    y = [np.where(array[:, 0] > 0, "up", "down") for array in ARRAYS]
    expected = estimator(RecurrentLabeler).fit(ARRAYS, y).predict(ARRAYS)
    found = estimator(RecurrentLabeler).fit(as_frames("pandas"), y).predict(panel(ARRAYS))
    for own, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(own, other)


def test_swapped_axes_cause_a_warning_and_can_be_set():
    X = rng.normal(size=(30, 50, 3))
    swapped = X.transpose(0, 2, 1)
    with pytest.warns(UserWarning, match=r"3 time steps of 50 features.*pass axes=\"nct\""):
        estimator().fit(swapped, LABELS)
    told = estimator(axes="nct").fit(swapped, LABELS)
    assert told.n_features_in_ == 3
    expected = estimator().fit(X, LABELS).predict_proba(X)
    np.testing.assert_array_equal(told.predict_proba(swapped), expected)
    found = told.model_.predict_proba(swapped.astype(np.float32))
    np.testing.assert_array_equal(found.astype(np.float32), expected)


@pytest.mark.parametrize("form", ["list", "3-D", "2-D", "frames"])
def test_a_large_constant_does_not_hide_the_signal(form):
    X = np.array([rng.normal(5 * (label == "rough"), 1, (8, 1)) for label in LABELS]) + 1.7e9
    data = {"list": list(X), "3-D": X, "2-D": X[:, :, 0], "frames": None}[form]
    if form == "frames":
        data = as_frames("polars", list(X), ["x"])
    fitted = RecurrentClassifier(hidden_size=8, epochs=15, random_state=0).fit(data, LABELS)
    assert fitted.score(data, LABELS) == 1
    if form != "2-D":
        assert (fitted.model_.predict(data) == LABELS).all()


@pytest.mark.parametrize("normalization", ["dataset", "both"])
def test_the_default_dtype_changes_no_bit(normalization):
    expected = estimator(normalization=normalization).fit(ARRAYS, LABELS)
    torch.set_default_dtype(torch.float64)
    try:
        fitted = estimator(normalization=normalization).fit(ARRAYS, LABELS)
        found = fitted.predict_proba(ARRAYS)
        again = expected.predict_proba(ARRAYS)
    finally:
        torch.set_default_dtype(torch.float32)
    np.testing.assert_array_equal(found, expected.predict_proba(ARRAYS))
    np.testing.assert_array_equal(found, again)


def test_sample_weights_are_validated():
    with pytest.raises(ShapeError, match=r"sample_weight has shape \(3,\); expected \(30,\)"):
        estimator().fit(ARRAYS, LABELS, sample_weight=[1, 2, 3])
    with pytest.raises(ConfigError, match=r"sample_weight\[1\] is -2.0; expected 0 or more"):
        estimator().fit(ARRAYS, LABELS, sample_weight=[1, -2] + [1] * 28)


def test_the_old_name_is_an_alias():
    with pytest.warns(FutureWarning, match="RecurrentLabeller was renamed to RecurrentLabeler"):
        assert bothways.RecurrentLabeller is RecurrentLabeler
    with pytest.warns(FutureWarning, match="TrainedLabeller was renamed"):
        assert bothways.TrainedLabeller is bothways.TrainedLabeler
