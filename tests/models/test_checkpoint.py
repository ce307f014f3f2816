import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from bothways.config import ModelConfig
from bothways.data.sequences import Sequences
from bothways.errors import CheckpointError, DataError, ShapeError
from bothways.models.checkpoint import MODEL_FILE, save_weights
from bothways.models.inputs import ScaleWarning
from bothways.models.loading import load
from bothways.models.manifest import CONFIG_FILE, Manifest, Preprocessing
from bothways.models.trained import TrainedClassifier
from bothways.nn.classifier import SequenceClassifier
from bothways.storage.atomic import sha256


def make_model(seed=0, *, hidden_size=4, classes=("left", "größer")):
    torch.manual_seed(seed)
    config = ModelConfig(input_size=3, hidden_size=hidden_size, num_classes=len(classes))
    manifest = Manifest(
        model=config,
        classes=classes,
        preprocessing=Preprocessing(training_range=(-1.0, 1.0)),
        provenance={"recipe": "default"},
    )
    return TrainedClassifier(SequenceClassifier(config).eval(), manifest)


@pytest.fixture
def model():
    return make_model()


@pytest.fixture
def folder(tmp_path, model):
    model.save(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def arrays():
    generator = np.random.default_rng(0)
    return [generator.uniform(-1, 1, (time, 3)).astype(np.float32) for time in (4, 1, 6)]


def edit_config(folder, **changes):
    path = folder / CONFIG_FILE
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **changes}))


def flip(path, bit):
    with path.open("r+b") as file:
        file.seek(bit // 8)
        (byte,) = file.read(1)
        file.seek(bit // 8)
        file.write(bytes([byte ^ 1 << bit % 8]))


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_loaded_model_gives_the_same_logits(folder, model, arrays):
    loaded = load(folder)
    assert torch.equal(loaded.predict_logits(arrays), model.predict_logits(arrays))
    assert loaded.manifest == model.manifest
    assert loaded.classes == ("left", "größer")


def test_a_model_that_is_older_than_normalization(folder, arrays):
    """Such a model has `standardize` in its config, and the same weights."""
    config = ModelConfig(input_size=3, hidden_size=4, num_classes=2, normalization="dataset")
    classifier = SequenceClassifier(config).eval()
    classifier.encoder.mean.fill_(0.5)
    new = TrainedClassifier(classifier, Manifest(model=config, classes=("a", "b")))
    old = json.loads(new.manifest.to_bytes())
    del old["model"]["normalization"]
    old["model"]["standardize"] = True
    content = json.dumps(old).encode()
    (folder / CONFIG_FILE).write_bytes(content)
    save_weights(folder / MODEL_FILE, sha256(content), classifier.state_dict())
    loaded = load(folder)
    assert loaded.manifest == new.manifest
    assert torch.equal(loaded.predict_logits(arrays), new.predict_logits(arrays))


def test_a_loaded_model_is_in_eval_mode_and_can_be_trained_on(folder):
    classifier = load(folder).classifier
    assert not any(module.training for module in classifier.modules())
    assert all(parameter.requires_grad for parameter in classifier.parameters())


def test_saving_again_changes_no_byte(folder):
    before = contents(folder)
    load(folder).save(folder)
    assert contents(folder) == before


def test_saving_creates_parent_folders(tmp_path, model):
    model.save(tmp_path / "a" / "b")
    assert {path.name for path in (tmp_path / "a" / "b").iterdir()} == {
        CONFIG_FILE,
        MODEL_FILE,
        "README.md",
    }


def test_every_flipped_bit_of_the_config_is_noticed(folder):
    path = folder / CONFIG_FILE
    for bit in range(8 * path.stat().st_size):
        flip(path, bit)
        with pytest.raises(CheckpointError, match=r"config\.json"):
            load(folder)
        flip(path, bit)
    load(folder)


@pytest.mark.parametrize("name", [CONFIG_FILE, MODEL_FILE])
def test_every_truncation_is_noticed(folder, name):
    for size in reversed(range((folder / name).stat().st_size)):
        os.truncate(folder / name, size)
        with pytest.raises(CheckpointError, match=name):
            load(folder)


@pytest.mark.parametrize("other", [{"hidden_size": 5}, {"classes": ("größer", "left")}])
def test_the_config_of_another_model_is_refused(folder, tmp_path, other):
    make_model(**other).save(tmp_path / "other")
    (tmp_path / "other" / CONFIG_FILE).replace(folder / CONFIG_FILE)
    with pytest.raises(
        CheckpointError, match=r"not the one that model\.safetensors was saved with"
    ):
        load(folder)


def remove_config(folder):
    (folder / CONFIG_FILE).unlink()


def remove_weights(folder):
    (folder / MODEL_FILE).unlink()


def make_config_newer(folder):
    edit_config(folder, schema_version=2)


def make_config_textual(folder):
    (folder / CONFIG_FILE).write_text("hidden_size: 4")


def make_config_a_list(folder):
    (folder / CONFIG_FILE).write_text("[]")


def add_unknown_setting(folder):
    edit_config(folder, color="blue")


def add_unknown_model_setting(folder):
    edit_config(folder, model={"input_size": 3, "num_classes": 2, "color": "blue"})


def swap_weights(folder):
    other = make_model(hidden_size=5).classifier
    checksum = sha256((folder / CONFIG_FILE).read_bytes())
    save_weights(folder / MODEL_FILE, checksum, other.state_dict())


def leave_run_unfinished(folder):
    remove_weights(folder)
    (folder / "checkpoints").mkdir()


def leave_run_without_config(folder):
    leave_run_unfinished(folder)
    remove_config(folder)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (remove_config, "is not a model or run: it has no config.json; expected a folder"),
        (remove_weights, "model.safetensors cannot be read: No such file"),
        (make_config_newer, "schema_version 2; this bothways reads up to 1. Upgrade bothways"),
        (make_config_textual, "config.json is damaged: Expecting value"),
        (make_config_a_list, "config.json is not the config of a bothways model, or is damaged"),
        (add_unknown_setting, "config.json is damaged: setting 'color' is unknown; .* provenance"),
        (add_unknown_model_setting, "setting 'color' is unknown; expected one of cell"),
        (swap_weights, "model.safetensors does not fit config.json: .* size mismatch"),
        (leave_run_unfinished, "first epoch is not complete. Run: bothways train .*model --resume"),
        (leave_run_without_config, "Run: bothways train .*model --resume"),
    ],
)
def test_damaged_models_are_refused_and_not_changed(folder, damage, message):
    damage(folder)
    before = contents(folder)
    with pytest.raises(CheckpointError, match=message) as raised:
        load(folder)
    assert "\n" not in str(raised.value)
    assert contents(folder) == before


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(
        CheckpointError,
        match=r"none is not a model or run: it has no config\.json; .* Check the path",
    ):
        load(tmp_path / "none")


def test_all_ways_to_pass_sequences_agree(model, arrays):
    same_length = [array[:1] for array in arrays]
    expected = model.predict_proba(same_length)
    np.testing.assert_array_equal(model.predict_proba(np.stack(same_length)), expected)
    np.testing.assert_array_equal(
        model.predict_proba(torch.tensor(np.stack(same_length))), expected
    )
    np.testing.assert_array_equal(model.predict_proba(Sequences.from_arrays(same_length)), expected)


def test_probabilities_and_names_match_the_logits(model, arrays):
    logits = model.predict_logits(arrays)
    probabilities = model.predict_proba(arrays)
    assert probabilities.shape == (3, 2)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-12)  # float64 rounding
    assert model.predict(arrays).tolist() == [model.classes[n] for n in logits.argmax(dim=1)]


def test_evaluate_matches_predict(model, arrays):
    labels = [0, 1, 1]
    names = model.predict(arrays)
    metrics = model.evaluate(Sequences.from_arrays(arrays, labels))
    assert metrics.count == 3
    assert metrics.correct == sum(
        name == model.classes[label] for name, label in zip(names, labels, strict=True)
    )


@pytest.mark.parametrize(
    ("sequences", "error", "message"),
    [
        (
            np.zeros((1, 5, 4)),
            ShapeError,
            "have 4 features per time step; expected 3, as in training",
        ),
        (np.zeros((5, 3)), DataError, r"an array of shape \(5, 3\); expected \(count, time, feat"),
        (np.zeros((1, 5, 3), np.uint8), DataError, "inputs has dtype uint8; expected floats"),
        (
            [np.zeros((5, 3), np.int64)],
            DataError,
            r"sequences\[0\] has dtype int64; expected float",
        ),
        (
            "new.csv",
            DataError,
            r"'new\.csv', a text or a path; .* run: bothways predict MODEL FILE",
        ),
        (Path("new.csv"), DataError, r"'new\.csv', a text or a path; expected arrays or frames"),
        ([], DataError, "sequences is empty; expected at least one"),
        ([np.full((2, 3), np.nan)], DataError, r"sequences\[0\] holds nan at step 0"),
    ],
)
def test_incompatible_sequences_are_refused(model, sequences, error, message):
    with pytest.raises(error, match=message):
        model.predict(sequences)


@pytest.mark.parametrize("method", ["predict_logits", "predict_proba", "predict"])
def test_values_on_another_scale_cause_a_warning(model, arrays, method):
    with pytest.warns(
        ScaleWarning, match=r"range from .* to 255, .* in training from -1 to 1"
    ) as caught:
        getattr(model, method)([*arrays, np.full((1, 3), 255.0)])
    assert [warning.filename for warning in caught] == [__file__]


def test_values_on_the_scale_of_training_cause_no_warning(model):
    model.predict([np.array([[-1.0, 0.0, 1.0]])])  # warnings are errors here


def test_a_model_without_a_training_range_does_not_warn(arrays):
    model = make_model()
    manifest = model.manifest.model_copy(update={"preprocessing": Preprocessing()})
    TrainedClassifier(model.classifier, manifest).predict([100 * array for array in arrays])
