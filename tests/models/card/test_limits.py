import pytest
from manifests import make_manifest, make_metrics

from bothways.data.options import DataOptions
from bothways.models.card.limits import describe_limits
from bothways.models.manifest import Preprocessing

ALL = {name: make_metrics() for name in ("train", "validation", "test")}


def limits(metrics=ALL, **settings):
    return " ".join(describe_limits(make_manifest(**settings), metrics))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "must have the 6 features of the training data"),
        (
            {"preprocessing": Preprocessing(training_range=(-0.5, 1e6))},
            "Values in training range from -0.5 to 1e+06.",
        ),
        ({"missing": "refuse"}, "Missing values (NaN) raise an error."),
        ({"missing": "mean"}, "(NaN) are replaced by the mean of the feature in training."),
        ({"missing": "zero"}, "(NaN) are replaced by 0."),
        (
            {"missing": "mean", "normalization": "robust"},
            "(NaN) are replaced by the median of the feature in training.",
        ),
        (
            {"missing": "mask", "normalization": "both"},
            "by the mean of the feature in the same sequence, and an additional feature marks",
        ),
        (
            {"bidirectional": False, "normalization": "sequence"},
            "are compared with those of their whole sequence, so the model needs a whole sequence",
        ),
        ({"missing": "mask"}, "in training, and an additional feature marks them."),
        ({"categories": (0, 4, 0, 0, 0, 0)}, "are all treated as one unknown category."),
        (
            {"preprocessing": Preprocessing(reading=DataOptions(window=1024))},
            "trained on windows of 1,024 time steps;",
        ),
        ({"readout": "flatten"}, "A sequence of more than 20 time steps raises an error."),
        ({"bidirectional": True}, "needs a whole sequence before it can answer."),
        (
            {"readout": "last"},
            "top layer has made one step when the model answers: it has read the last time step",
        ),
        ({"readout": "last", "num_layers": 2}, "has made one step when the model answers."),
        ({"calibrate": False}, "The probabilities are not calibrated:"),
        ({"members": 5}, "An answer takes as long as 5 answers of one network:"),
    ],
)
def test_limits_of_the_model(settings, words):
    assert words in limits(**settings)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "range from"),
        ({}, "unknown category"),
        ({}, "windows"),
        ({}, "A sequence of more than"),
        ({"bidirectional": False, "readout": "last"}, "direction"),
        ({"bidirectional": False, "normalization": "robust"}, "whole sequence"),
        ({"readout": "final"}, "With readout last"),
        ({"calibrate": True}, "not calibrated"),
        ({}, "ensemble"),
    ],
)
def test_limits_that_a_model_does_not_have(settings, words):
    assert words not in limits(**settings)


@pytest.mark.parametrize(
    ("splits", "words"),
    [
        ((), "The accuracy of the model is unknown."),
        (("train",), "There is no held-out data"),
        (("train", "validation"), "There is no test set."),
    ],
)
def test_missing_splits_are_named(splits, words):
    assert words in limits({split: ALL[split] for split in splits})
    assert words not in limits()


def test_small_held_out_splits_are_named():
    small = {"train": make_metrics(), "test": make_metrics(count=199)}
    assert "The test set has 199 sequences only, so its metrics are uncertain." in limits(small)
    assert "uncertain" not in limits({**small, "test": make_metrics(count=200)})


def test_classes_with_few_examples_and_low_recall_are_named():
    names = ("walk", "run", "jump")
    metrics = {
        "train": make_metrics(counts=dict(zip(names, (19, 20, 100), strict=True))),
        "test": make_metrics(
            counts=dict(zip(names, (5, 5, 0), strict=True)),
            recalls={"walk": 0.5, "run": 0.4, "jump": 0.0},
        ),
    }
    found = describe_limits(make_manifest(), metrics)[-3:]
    assert found == [
        "Classes with fewer than 20 training sequences: `walk`.",
        "Classes that do not occur in the test set, so that it says nothing about them: `jump`.",
        "Classes of which less than 50% are recognized in the test set: `run`.",
    ]
    assert not any(
        "training sequences" in text
        for text in describe_limits(make_manifest(readout="step"), metrics)
    )
