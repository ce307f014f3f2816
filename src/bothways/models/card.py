"""The `README.md` of a model folder: what the model is, its metrics, and how to use it."""

from collections.abc import Mapping

from bothways.evaluation.metrics import Metrics
from bothways.models.manifest import Manifest
from bothways.nn.pooling import READOUTS


def model_card(
    manifest: Manifest, metrics: Mapping[str, Metrics] | None = None, epoch: int | None = None
) -> str:
    """Return the model card as Markdown.

    Parameters
    ----------
    manifest : Manifest
    metrics : dict of Metrics, optional
        By split.
    epoch : int, optional
        The epoch that was selected on the validation split.
    """
    model = manifest.model
    kind = "sequence classifier" if model.target == "sequence" else "labeler of time steps"
    lines = [
        f"# {describe_architecture(manifest)}",
        "",
        f"A {kind} made with bothways: {describe_origin(manifest)}.",
        "",
        f"- Input: sequences of {model.input_size} features per time step"
        + (f", at most {model.sequence_length} time steps." if model.sequence_length else "."),
        f"- Output: one of {len(manifest.classes)} classes for each "
        f"{'sequence' if model.target == 'sequence' else 'time step'}: "
        f"{', '.join(manifest.classes)}.",
        *(
            f"- Feature {feature!r} has {len(names)} known categories; `model.token_numbers` "
            "returns their numbers."
            for feature, names in manifest.preprocessing.reading.vocabularies.items()
        ),
        f"- Readout: {describe_readout(manifest)}.",
        "",
    ]
    if metrics:
        lines += [
            f"| split | {model.target}s | accuracy | log loss | calibration error |",
            "|---|---|---|---|---|",
            *(
                f"| {split} | {found.count:,} | {found.accuracy:.2%} "
                f"| {found.log_loss:.4f} | {found.expected_calibration_error:.4f} |"
                for split, found in metrics.items()
            ),
            "",
        ]
    if epoch is not None:
        lines += [f"Epoch {epoch} was selected: it is the best on the validation split.", ""]
    lines += [
        "```python",
        "from bothways import load",
        "",
        'model = load("path/of/this/folder")',
        "model.predict(sequences)  # a list of float arrays (time, features)",
        "```",
        "",
    ]
    return "\n".join(lines)


def describe_origin(manifest: Manifest) -> str:
    """Return what the model was trained on or converted from."""
    provenance = manifest.provenance
    if provenance.converted_from is not None:
        return f"converted from {provenance.converted_from.file}"
    if provenance.data is None or provenance.training is None:
        return "origin unknown"
    return (
        f"recipe {provenance.recipe}, trained on {provenance.data.name} "
        f"({provenance.data.train_count:,} labeled sequences), seed {provenance.training.seed}, "
        f"{provenance.threads} threads"
    )


def describe_readout(manifest: Manifest) -> str:
    """Return what the linear layer receives; for bidirectional `last`, with a warning."""
    model = manifest.model
    summary = READOUTS[model.readout].summary
    if model.readout == "last" and model.bidirectional:
        summary += (
            "; there, the backward direction has processed only the last time step. Kept to "
            "reproduce the notebooks; readout final uses both directions fully"
        )
    return summary


def describe_architecture(manifest: Manifest) -> str:
    """Return the architecture in a few words, such as bidirectional LSTM 2x256, readout last."""
    model = manifest.model
    direction = "bidirectional" if model.bidirectional else "forward"
    relu = " (relu)" if model.nonlinearity == "relu" else ""
    return (
        f"{direction} {model.cell.upper()}{relu} {model.num_layers}x{model.hidden_size}, "
        f"readout {model.readout}"
    )
