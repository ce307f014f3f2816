"""Print what models, recipes, settings and checkpoints are."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from bothways.cli.tables import first_few, print_facts, print_paragraph, print_table
from bothways.config import describe_unknown_setting
from bothways.config.described import described_settings, shown
from bothways.errors import ConfigError, counted
from bothways.models.card import (
    describe_architecture,
    describe_length,
    describe_normalization,
    describe_origin,
    describe_readout,
    describe_training,
)
from bothways.models.manifest import Manifest
from bothways.models.trained_model import TrainedModel
from bothways.recipes import Recipe, recipe_settings


def print_recipes(recipes: Iterable[Recipe]) -> None:
    """Print one line for each recipe, with the published accuracies."""
    rows = []
    for recipe in recipes:
        training = recipe.training
        rows.append(
            [
                recipe.name,
                recipe.notebook or "-",
                recipe.summary,
                training.batch_size,
                f"{training.learning_rate:g}",
                describe_length(training),
                recipe.published.get("train_percent", "-"),
                recipe.published.get("test_percent", "-"),
            ]
        )
    columns = ["recipe", "notebook", "model", "batch", "rate", "length", "train %", "test %"]
    print_table(columns, rows)
    print("train % and test %: accuracy that the author of the notebook printed; - if none.")
    print("to print the settings of one, run: bothways recipes NAME")


def print_settings(name: str | None = None) -> None:
    """Print what all settings mean, or one of them, with their defaults and those of recipes.

    Raises
    ------
    ConfigError
        If there is no setting of this name.
    """
    groups = described_settings()
    known = [setting.name for settings in groups.values() for setting in settings]
    if name is not None and name not in known:
        raise ConfigError(describe_unknown_setting(name, known))
    of_recipes = {recipe: recipe_settings(recipe) for recipe in ("default", "time-series")}
    for title, settings in groups.items():
        if name is None:
            print(f"{title}\n")
        for setting in settings:
            if name in (None, setting.name):
                facts = [setting.values, f"default: {setting.default}"]
                facts += [
                    f"recipe {recipe}: {shown(values[setting.name])}"
                    for recipe, values in of_recipes.items()
                    if setting.name in values
                ]
                print(setting.name)
                print_paragraph("; ".join(facts), indent="  ")
                print_paragraph(setting.meaning, indent="  ")
                print()


def print_model(model: TrainedModel, status: str, taken: str = "") -> None:
    """Print the architecture, the origin and the backend of a model.

    Parameters
    ----------
    model : TrainedModel
    status : str
    taken : str
        From `describe_taken`, of a finished run.
    """
    manifest, classifier = model.manifest, model.classifier
    parameters = sum(tensor.numel() for tensor in classifier.parameters())
    backend = classifier.networks[0].layers.backend_choice
    facts = {
        **_facts(manifest, taken),
        "parameters": f"{parameters:,}",
        "backend": f"{backend}, {counted(torch.get_num_threads(), 'thread')}",
        "status": status,
    }
    print_facts(facts)


def print_exported(manifest: Manifest) -> None:
    """Print the architecture and the origin of a model in an ONNX file."""
    print_facts({**_facts(manifest), "backend": "onnxruntime"})


def _facts(manifest: Manifest, taken: str = "") -> dict[str, str]:
    """Return what a model is, what it reads, and where it comes from."""
    config, known = manifest.model, manifest.preprocessing.training_range
    training = manifest.provenance.training
    return {
        "model": describe_architecture(manifest),
        "input": f"{counted(config.input_size, 'feature')} per time step"
        + (
            f", at most {counted(config.sequence_length, 'time step')}"
            if config.sequence_length
            else ""
        ),
        "values": "unknown" if known is None else f"{known[0]:g} to {known[1]:g} in training",
        "normalization": f"{config.normalization}: {describe_normalization(manifest)}",
        **({"names": _describe_names(manifest)} if any(config.categories) else {}),
        "readout": describe_readout(manifest),
        "classes": f"{len(manifest.classes)}: {', '.join(manifest.classes)}",
        "from": describe_origin(manifest),
        **({} if training is None else {"training": describe_training(training, taken)}),
    }


def _describe_names(manifest: Manifest) -> str:
    vocabularies = manifest.preprocessing.reading.vocabularies
    return "; ".join(
        f"{feature}: {len(names)} ({first_few(names)})" for feature, names in vocabularies.items()
    )


def print_checkpoint(weights: Mapping[str, Tensor]) -> None:
    """Print the tensors of a checkpoint and the next command."""
    rows = [[name, "x".join(map(str, tensor.shape))] for name, tensor in weights.items()]
    print_table(["tensor", "shape"], rows)
    print("to use it, run: bothways convert FILE --out my-model")
