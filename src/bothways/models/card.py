"""The `README.md` of a model folder: what the model is, how good, and how to use it."""

from typing import Any

from bothways.models.manifest import Manifest
from bothways.nn.pooling import READOUTS


def model_card(manifest: Manifest, metrics: dict[str, Any]) -> str:
    """Return the model card as Markdown."""
    model = manifest.model
    kind, of_each = "sequence classifier", ""
    if model.target == "step":
        kind, of_each = "labeller of steps", " for each step"
    lines = [
        f"# {describe_architecture(manifest)}",
        "",
        f"A {kind} made with bothways: {describe_origin(manifest)}.",
        "",
        f"- Takes sequences of {model.input_size} features a step"
        + (f", at most {model.sequence_length} steps." if model.sequence_length else "."),
        f"- Says one of {len(manifest.classes)} classes{of_each}: {', '.join(manifest.classes)}.",
        *(
            f"- Knows {feature!r} by {len(names)} names; `model.token_numbers` gives their numbers."
            for feature, names in manifest.preprocessing.reading.vocabularies.items()
        ),
        f"- Reads out {describe_readout(manifest)}.",
        "",
    ]
    measured = {split: figures for split, figures in metrics.items() if figures is not None}
    if measured:
        lines += [
            f"| split | {model.target}s | accuracy | log loss | calibration error |",
            "|---|---|---|---|---|",
            *(
                f"| {split} | {figures['count']:,} | {figures['accuracy']:.2%} "
                f"| {figures['log_loss']:.4f} | {figures['expected_calibration_error']:.4f} |"
                for split, figures in measured.items()
            ),
            "",
        ]
    if "epoch" in measured.get("validation", {}):
        lines += [f"Epoch {measured['validation']['epoch']} was kept, the best on validation.", ""]
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
    """Say what the model was trained on, or converted from."""
    provenance = manifest.provenance
    if "converted_from" in provenance:
        return f"converted from {provenance['converted_from']['file']}"
    if "data" not in provenance:
        return "of unknown origin"
    data = provenance["data"]
    return (
        f"recipe {provenance['recipe']} on {data['name']} ({data['train_count']:,} labelled "
        f"sequences), seed {provenance['training']['seed']}, {provenance['threads']} threads"
    )


def describe_readout(manifest: Manifest) -> str:
    """Say what the linear layer sees, and what `last` means in a bidirectional net."""
    model = manifest.model
    summary = READOUTS[model.readout].summary
    if model.readout == "last" and model.bidirectional:
        summary += (
            "; the backward direction has read one step there, the last one only. "
            "Kept to reproduce the notebooks; readout final uses both directions fully"
        )
    return summary


def describe_architecture(manifest: Manifest) -> str:
    """Return the architecture in a few words: `bidirectional LSTM 2x256, readout last`."""
    model = manifest.model
    direction = "bidirectional" if model.bidirectional else "forward"
    relu = " (relu)" if model.nonlinearity == "relu" else ""
    return (
        f"{direction} {model.cell.upper()}{relu} {model.num_layers}x{model.hidden_size}, "
        f"readout {model.readout}"
    )
