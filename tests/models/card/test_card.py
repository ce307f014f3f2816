import shlex
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from click.testing import CliRunner
from huggingface_hub import HfApi
from huggingface_hub.cli.hf import app
from huggingface_hub.hf_api import RepoUrl
from manifests import make_manifest, make_metrics
from markdown_it import MarkdownIt
from random_models import random_model

from bothways.config import READOUTS, TrainConfig
from bothways.models.card import (
    describe_normalization,
    describe_taken,
    describe_training,
    model_card,
)
from bothways.models.card.descriptions import describe_readout
from bothways.models.manifest import ConvertedFrom, Manifest, Preprocessing, Provenance
from bothways.nn.pooling import POOLINGS

SECTIONS = [
    "Intended use",
    "Limits",
    "Training data",
    "Metrics",
    "How to use it",
    "License",
]


def section(card, name):
    return card.partition(f"\n## {name}\n")[2].partition("\n## ")[0]


def headings(card):
    tokens = MarkdownIt().parse(card.partition("\n---\n")[2])
    return [text.content for kind, text in pairwise(tokens) if kind.type == "heading_open"]


def test_the_card_has_a_head_a_title_and_sections():
    card = model_card(make_manifest(), {"test": make_metrics()})
    assert card.startswith("---\nlibrary_name:")
    assert headings(card) == ["bidirectional LSTM 1x128, readout final", *SECTIONS]


def test_the_card_of_a_model_without_metrics_has_no_section_for_them():
    assert headings(model_card(make_manifest()))[1:] == [n for n in SECTIONS if n != "Metrics"]


def test_the_card_names_inputs_and_outputs():
    features = tuple(f"x{n}" for n in range(6))
    card = model_card(make_manifest(preprocessing=Preprocessing(features=features)))
    assert "- Input: sequences of 6 features per time step.\n" in card
    assert "- Features: `x0`, `x1`, `x2`, `x3`, `x4`, `x5`.\n" in card
    assert "- Output: one of 3 classes for each sequence: `walk`, `run`, `jump`.\n" in card


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"epochs": 1}, "1 epoch, with batches of 64; adam with learning rate 0.001 (constant)"),
        ({"epochs": 3}, "3 epochs, with batches of 64; adam with learning rate 0.001 (constant)"),
        (
            {"steps": 2000, "crop_steps": 128, "augment_time_warp": 0.2, "augment_zoom": 0.1},
            "2,000 steps, with batches of 64; random parts of at most 128 time steps; adam with "
            "learning rate 0.001 (constant); augmentation: time_warp 0.2, zoom 0.1",
        ),
        (
            {"steps": 1000, "epochs": 5, "batch_size": "auto", "schedule": "one_cycle"},
            "1,000 steps or 5 epochs, whichever is longer, with batches sized by the training "
            "set; adam with learning rate 0.001 (one_cycle)",
        ),
    ],
)
def test_training_in_words(settings, expected):
    assert describe_training(TrainConfig(**settings)) == expected


def test_the_card_names_the_data_and_the_training():
    card = model_card(make_manifest(), {"test": make_metrics()}, epoch=7)
    data = section(card, "Training data")
    for fact in (
        "- Name: `gestures.npz`.",
        "- Data: 48,600 training, 5,400 validation sequences; 1,000 test sequences.",
        f"- SHA-256 of the training data: `{'ab' * 32}`.",
        "- Recipe `lstm-last`, seed 17.",
        "- Validation set: 0.1 of the training data, drawn with this seed",
        "- Epoch 7 was selected: it is the best on the validation set.",
        "- Versions: `bothways 1.2.3`, `torch 4.5.6`.",
    ):
        assert fact in data
    assert "SHA-256 of the test data" not in data
    assert "- Training: 10 epochs, with batches of 64; adam with" in data
    taken = describe_taken(TrainConfig(batch_size="auto"), 198, 2, 16)
    data = section(model_card(make_manifest(), taken=taken), "Training data")
    assert f"- Training: {taken}; adam with" in data


def test_unknown_and_converted_origins_are_named():
    manifest = make_manifest()
    unknown = Manifest(model=manifest.model, classes=manifest.classes)
    assert "- Unknown." in section(model_card(unknown), "Training data")
    source = ConvertedFrom(file="old.ckpt", sha256="0")
    converted = unknown.model_copy(update={"provenance": Provenance(converted_from=source)})
    data = section(model_card(converted), "Training data")
    assert data.split("\n")[1] == "- Converted from `old.ckpt`, whose data are unknown."
    assert "Unknown" not in data


@pytest.mark.parametrize("readout", [*READOUTS, "final+mean", "flatten+max"])
def test_the_card_describes_the_readout(readout):
    manifest = make_manifest(readout=readout)
    card = model_card(manifest)
    summaries = "; ".join(POOLINGS[name].summary for name in readout.split("+"))
    assert f"- Readout {readout}: {summaries}.\n" in card
    assert ("at most 20 time steps" in card) == ("flatten" in readout)
    assert ("labeler of time steps" in card) == (readout == "step")
    assert ("the classes of the time steps of each" in card) == (readout == "step")
    assert ("it has read the last time step only" in card) == (readout == "last")
    assert ("has made one step. Readout" in describe_readout(manifest)) == (readout == "last")


@pytest.mark.parametrize(
    ("normalization", "words"),
    [
        (
            "dataset",
            "numeric features are standardized with the mean and the standard deviation of",
        ),
        ("robust", "numeric features are measured from the median of the training data in units"),
        ("sequence", "numeric features are standardized with the mean and the standard deviation"),
        ("both", "the network receives each numeric feature twice: measured from the median of"),
    ],
)
def test_the_card_describes_the_normalization(normalization, words):
    card = model_card(make_manifest(normalization=normalization))
    assert f"- Normalization {normalization}, inside the model: {words}" in card


def test_the_card_of_a_model_that_does_not_normalize_has_no_line_for_it():
    assert "Normalization" not in model_card(make_manifest())
    categories = make_manifest(normalization="both", bidirectional=False, categories=(3,) * 6)
    card = model_card(categories)
    assert "Normalization" not in card
    assert "Values are compared" not in card
    assert describe_normalization(categories) == "no effect, because all features are categorical"


def test_the_card_describes_an_ensemble():
    card = model_card(make_manifest(members=5))
    assert "# bidirectional LSTM 1x128, readout final, ensemble of 5 networks" in card
    assert "- Ensemble: 5 networks that were trained on the same data" in card
    assert '  - "ensemble"' in card
    assert "nsemble" not in model_card(make_manifest())


def test_names_cannot_change_the_layout():
    nasty = ("# heading\n\n## License", "`a` <script>", "[x](http://a) | --- ", "---\nb: c", "")
    metrics = make_metrics(recalls=dict.fromkeys(nasty, 0.1))
    features = tuple(f"\n# {n}`" for n in range(6))
    manifest = make_manifest(
        classes=nasty, name="\n\n# data `x`", preprocessing=Preprocessing(features=features)
    )
    card = model_card(manifest, {"train": metrics, "test": metrics})
    assert headings(card)[1:] == SECTIONS
    tokens = MarkdownIt("commonmark").parse(card.partition("\n---\n")[2])
    inner = [part for token in tokens for part in token.children or []]
    assert {part.type for part in inner} <= {"text", "code_inline", "softbreak"}
    shown = {part.content for part in inner if part.type == "code_inline"}
    assert {"`a` <script>", "[x](http://a) | --- ", "---\N{REPLACEMENT CHARACTER}b: c"} <= shown


def test_the_card_of_many_classes_is_short():
    classes = tuple(f"class {n}" for n in range(5000))
    metrics = make_metrics(recalls=dict.fromkeys(classes, 0.1), counts=dict.fromkeys(classes, 3))
    card = model_card(make_manifest(classes=classes), {"train": metrics, "test": metrics})
    assert len(card) < 10_000
    assert "one of 5,000 classes for each sequence: `class 0`, `class 1`," in card
    assert "`class 19` and 4,980 more." in card


def test_the_card_depends_on_its_arguments_only():
    arguments = make_manifest(), {"train": make_metrics(), "test": make_metrics()}, 3
    assert model_card(*arguments) == model_card(*arguments)
    other = replace(arguments[1]["test"], accuracy=0.5)
    assert model_card(arguments[0], {"test": other}) != model_card(arguments[0], arguments[1])


def test_the_code_of_the_card_runs(tmp_path):
    model = random_model()
    model.save(tmp_path / "model")
    card = (tmp_path / "model" / "README.md").read_text()
    code = section(card, "How to use it").partition("```python\n")[2].partition("```")[0]
    code = code.replace("path/of/this/folder", str(tmp_path / "model"))
    values = {"sequences": [np.ones((length, 3)) for length in (4, 2)]}
    exec(code, values)
    assert values["model"].classes == model.classes


def test_the_command_of_the_card_uploads_the_three_files(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(HfApi, "create_repo", lambda self, **options: RepoUrl("ada/waves"))
    monkeypatch.setattr(HfApi, "upload_folder", lambda self, **options: calls.append(options))
    command = section(model_card(make_manifest()), "License").split("```")[1].strip()
    command = command.replace("owner/name", "ada/waves").replace("\\\n", "")
    arguments = shlex.split(command.replace("path/of/this/folder", str(tmp_path)))
    assert arguments.pop(0) == "hf"
    CliRunner().invoke(app, arguments, catch_exceptions=False)
    (options,) = calls
    assert options["allow_patterns"] == ["config.json", "model.safetensors", "README.md"]
    assert options["folder_path"] == str(tmp_path)
    assert options["path_in_repo"] == "."
