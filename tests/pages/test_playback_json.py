import json

import numpy as np
import pytest
import torch

from bothways.config import ModelConfig
from bothways.models.manifest import Manifest, Preprocessing
from bothways.models.trained import trained_model
from bothways.nn.ensemble import make_classifier
from bothways.pages.playback_json import playback_json
from bothways.pages.static_files import STATIC_FILES, static_text


def model_with(features=(), value_range=(0.0, 1.0), **settings):
    config = ModelConfig(**{"input_size": 3, "num_classes": 4, "hidden_size": 5, **settings})
    return trained_model(
        make_classifier(config).eval(),
        Manifest(
            model=config,
            classes=tuple(f"class {n}" for n in range(config.num_classes)),
            preprocessing=Preprocessing(features=features, training_range=value_range),
        ),
    )


def steps_of(time, size):
    return torch.rand(time, size).numpy()


def test_probabilities_are_those_of_the_model():
    model, steps = model_with(), steps_of(6, 3)
    played = playback_json(model, steps, name="a", label=2)
    assert played["counts"] == [1, 2, 3, 4, 5, 6]
    for n in range(6):
        (first,) = model.predict_proba([steps[: n + 1]])
        (last,) = model.predict_proba([steps[5 - n :]])
        assert np.allclose(played["forward"][n], first, atol=6e-4)  # rounded to 3 digits
        assert np.allclose(played["backward"][n], last, atol=6e-4)
    assert played["answer"] == model.predict([steps])[0]
    assert played["truth"] == "class 2"
    assert json.loads(json.dumps(played, allow_nan=False)) == played


def test_labels_of_steps_refer_to_the_classes_shown():
    model = model_with(readout="step", num_classes=30)
    labels = np.array([29, 29, -1, 7, 7])
    played = playback_json(model, steps_of(5, 3), label=labels)
    shown = [played["classes"][n] if n >= 0 else None for n in played["truth"]]
    assert shown == ["class 29", "class 29", None, "class 7", "class 7"]
    assert len(played["classes"]) == 10
    assert played["others"] == 20
    assert np.shape(played["whole"]) == (5, 10)


def test_the_true_class_is_always_shown():
    model = model_with(num_classes=40)
    with torch.no_grad():
        model.classifier.linear.bias[33] = -100
    assert "class 33" in playback_json(model, steps_of(4, 3), label=33)["classes"]
    assert "class 33" not in playback_json(model, steps_of(4, 3))["classes"]


def test_contributions_are_there_if_there_are_two_directions():
    parts = playback_json(model_with(readout="final"), steps_of(4, 3))["parts"]
    assert np.shape(parts["forward"]) == np.shape(parts["backward"]) == (4, 2, 4)
    assert "parts" not in playback_json(model_with(bidirectional=False), steps_of(4, 3))
    assert "parts" not in playback_json(model_with(members=2), steps_of(4, 3))


def test_pictures_are_drawn_as_pictures():
    model, steps = model_with(input_size=28), steps_of(28, 28)
    drawing = playback_json(model, steps)["drawing"]
    assert (drawing["kind"], drawing["width"], drawing["height"]) == ("picture", 28, 28)
    assert np.allclose(np.array(drawing["levels"]).reshape(28, 28) / 255, steps, atol=0.002)


@pytest.mark.parametrize(
    ("time", "settings"),
    [
        (28, {"input_size": 28, "value_range": (-3.0, 4.0)}),
        (28, {"input_size": 28, "features": tuple(f"sensor {n}" for n in range(28))}),
        (28, {"input_size": 28, "readout": "step"}),
        (28, {"input_size": 3}),
        (4, {"input_size": 28}),
        (500, {"input_size": 28}),
    ],
)
def test_other_sequences_are_drawn_as_lines(time, settings):
    model = model_with(**settings)
    steps = steps_of(time, settings["input_size"])
    drawing = playback_json(model, steps)["drawing"]
    assert drawing["kind"] == "lines"
    assert len(drawing["lines"]) == min(6, settings["input_size"])
    assert drawing["others"] == settings["input_size"] - len(drawing["lines"])
    assert np.allclose(drawing["lines"][0]["values"], steps[:, 0], rtol=1e-3)


def test_missing_values_and_long_sequences_are_drawn():
    model = model_with(missing="mean", features=("x", "y", "z"))
    steps = steps_of(2000, 3)
    steps[0, 1] = np.nan
    drawing = playback_json(model, steps)["drawing"]
    assert drawing["lines"][1]["values"][0] is None
    assert drawing["lines"][2]["name"] == "z"
    assert len(drawing["at"]) == 600
    assert drawing["at"][-1] == 1999


def test_static_files_exist_and_load_nothing():
    for name in STATIC_FILES:
        text = static_text(name)
        assert len(text) > 500
        assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
        assert "</" not in text or name == "playback.js"
    assert "</script" not in static_text("playback.js")


def test_the_most_probable_class_is_exact_even_if_rounding_makes_ties():
    model = model_with(num_classes=300)
    with torch.no_grad():
        for weight in model.classifier.parameters():
            weight.mul_(0.01)  # all probabilities are about 1 / 300
    steps = steps_of(9, 3)
    played = playback_json(model, steps)
    assert len(played["classes"]) == 10
    assert played["classes"][played["best"]["whole"][0]] == played["answer"]
    assert played["best"]["forward"][-1] == played["best"]["whole"][0]
    for n, place in enumerate(played["best"]["forward"]):
        answer = model.predict([steps[: n + 1]])[0]
        assert place == -1 or played["classes"][place] == answer
        assert place >= 0 or answer not in played["classes"]
