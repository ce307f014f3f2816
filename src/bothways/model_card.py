"""The `README.md` of a model folder: what the model is, how good, and how to use it."""

from typing import Any

from bothways.checkpoint import Manifest
from bothways.readout import READOUTS


def model_card(manifest: Manifest, metrics: dict[str, Any]) -> str:
    """Return the model card as Markdown."""
    model, provenance = manifest.model, manifest.provenance
    rows = [
        f"| {split} | {figures['count']:,} | {figures['accuracy']:.2%} | {figures['log_loss']:.4f} "
        f"| {figures['expected_calibration_error']:.4f} |"
        for split, figures in metrics.items()
        if figures is not None
    ]
    data = provenance["data"]
    lines = [
        f"# {describe_architecture(manifest)}",
        "",
        f"A sequence classifier trained with bothways: recipe `{provenance['recipe']}`, data "
        f"`{data['name']}` ({data['train_count']:,} labelled sequences), seed "
        f"{provenance['training']['seed']}.",
        "",
        f"- Takes sequences of {model.input_size} features a step"
        + (f", at most {model.sequence_length} steps." if model.sequence_length else "."),
        f"- Says one of {len(manifest.classes)} classes: {', '.join(manifest.classes)}.",
        f"- Reads out {READOUTS[model.readout].summary}.",
        "",
        "| split | sequences | accuracy | log loss | calibration error |",
        "|---|---|---|---|---|",
        *rows,
        "",
        "```python",
        "from bothways import load",
        "",
        'model = load("path/of/this/folder")',
        "model.predict(sequences)  # a list of float arrays (time, features)",
        "```",
        "",
    ]
    return "\n".join(lines)


def describe_architecture(manifest: Manifest) -> str:
    """Return the architecture in a few words: `bidirectional LSTM 2x256, readout last`."""
    model = manifest.model
    direction = "bidirectional" if model.bidirectional else "forward"
    relu = " (relu)" if model.nonlinearity == "relu" else ""
    return (
        f"{direction} {model.cell.upper()}{relu} {model.num_layers}x{model.hidden_size}, "
        f"readout {model.readout}"
    )
