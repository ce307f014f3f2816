"""The model card: what a model is, what it can do, and how to use it, as Markdown."""

from collections.abc import Iterator, Mapping

from bothways.errors import counted
from bothways.evaluation.metrics import Metrics
from bothways.models.card.descriptions import (
    describe_architecture,
    describe_counts,
    describe_normalization,
    describe_training,
    summarize_readout,
)
from bothways.models.card.head import card_head
from bothways.models.card.limits import describe_limits
from bothways.models.card.markdown import code, code_list
from bothways.models.card.metrics import metrics_section
from bothways.models.manifest import Manifest

_USE = """\
## How to use it

In Python, where bothways is installed (with its extra `hub`, to load models from the hub):

```python
from bothways import load

model = load("path/of/this/folder")  # or load("hf://owner/name"), if it is on the hub
model.predict(sequences)  # {answer} of each of a list of float arrays (time, features)
model.predict_proba(sequences)
```

On the command line:

```
bothways inspect path/of/this/folder
bothways evaluate path/of/this/folder DATA
bothways predict path/of/this/folder FILE
```

Loading executes no code. To export the model to a file that runs without bothways (ONNX files need
the extra `export`):

```
bothways export path/of/this/folder --to model.onnx
bothways export path/of/this/folder --to model.c
```

## License

None has been chosen. Before you publish the model, choose one that the license of the training data
allows, and replace `unknown` in the head of this file. To publish it on the Hugging Face Hub:

```
hf upload owner/name path/of/this/folder --include config.json --include model.safetensors \\
    --include README.md
```
"""


def model_card(
    manifest: Manifest,
    metrics: Mapping[str, Metrics] | None = None,
    epoch: int | None = None,
    taken: str = "",
) -> str:
    """Return the model card as Markdown, with a head for model hubs.

    Parameters
    ----------
    manifest : Manifest
    metrics : dict of Metrics, optional
        By split.
    epoch : int, optional
        The epoch that was selected on the validation set.
    taken : str
        From `describe_taken`.
    """
    metrics = metrics or {}
    title = describe_architecture(manifest)
    of_steps = manifest.model.target == "step"
    lines = [
        *card_head(title, manifest, metrics),
        "",
        f"# {title}",
        "",
        *_model(manifest),
        "",
        "## Intended use",
        "",
        f"To predict the class of {'each time step of ' * of_steps}sequences that are like those "
        "of the training data: from the same source, measured and prepared in the same way. "
        "Evaluate the model on your own data before you rely on it.",
        "",
        "## Limits",
        "",
        *(f"- {limit}" for limit in describe_limits(manifest, metrics)),
        "",
        "## Training data",
        "",
        *(f"- {fact}" for fact in _training(manifest, epoch, taken)),
        "",
        *metrics_section(manifest, metrics),
    ]
    answer = "the classes of the time steps" if of_steps else "the class"
    return "\n".join([*lines, _USE.replace("{answer}", answer)])


def _model(manifest: Manifest) -> Iterator[str]:
    """Yield what the model is, what it reads and what it answers."""
    model, preprocessing = manifest.model, manifest.preprocessing
    what = "labeler of time steps" if model.target == "step" else "sequence classifier"
    yield f"A {what} made with bothways."
    yield ""
    size = model.input_size
    yield (
        f"- Input: sequences of {counted(size, 'feature')} per time step"
        + (
            f", at most {counted(model.sequence_length, 'time step')}."
            if model.sequence_length
            else "."
        )
    )
    if preprocessing.features:
        yield f"- Features: {code_list(preprocessing.features)}."
    for feature, names in preprocessing.reading.vocabularies.items():
        yield (
            f"- Feature {code(feature)} has {counted(len(names), 'known category')}; "
            "`model.token_numbers` returns their numbers."
        )
    yield (
        f"- Output: one of {len(manifest.classes):,} classes for each "
        f"{'time step' if model.target == 'step' else 'sequence'}: {code_list(manifest.classes)}."
    )
    yield f"- Readout {model.readout}: {summarize_readout(model)}."
    if model.normalization != "none" and model.numeric_features:
        yield (
            f"- Normalization {model.normalization}, inside the model: "
            f"{describe_normalization(manifest)}."
        )
    if model.members > 1:
        yield (
            f"- Ensemble: {model.members} networks that were trained on the same data from "
            "different initial weights; the probabilities are the means of theirs."
        )
    if model.calibrate:
        yield "- Probabilities are calibrated on the validation set (temperature scaling)."


def _training(manifest: Manifest, epoch: int | None, taken: str) -> Iterator[str]:
    """Yield what the model was trained on, and how."""
    provenance = manifest.provenance
    if provenance.converted_from is not None:
        yield f"Converted from {code(provenance.converted_from.file)}, whose data are unknown."
    data, training = provenance.data, provenance.training
    if data is not None:
        yield f"Name: {code(data.name)}."
        test = counted(data.test_count, "test sequence") if data.test_count else "no test set"
        yield f"Data: {describe_counts(data)}; {test}."
        for part, fingerprint in (("training", data.train_sha256), ("test", data.test_sha256)):
            if fingerprint is not None:
                yield f"SHA-256 of the {part} data: {code(fingerprint)}."
    if training is not None:
        yield f"Recipe {code(provenance.recipe or 'unknown')}, seed {training.seed}."
        yield f"Training: {describe_training(training, taken)}."
        if training.validation_fraction:
            yield (
                f"Validation set: {training.validation_fraction:g} of the training data, drawn "
                "with this seed, unless the data have a validation set."
            )
    if epoch is not None:
        yield f"Epoch {epoch} was selected: it is the best on the validation set."
    if provenance.threads is not None:
        yield f"CPU threads: {provenance.threads}."
    if provenance.versions:
        versions = [f"{name} {version}" for name, version in provenance.versions.items()]
        yield f"Versions: {code_list(versions)}."
    if data is None and training is None and provenance.converted_from is None:
        yield "Unknown."
