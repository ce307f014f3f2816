"""The record of benchmarks/scale.py, and its tables in docs/scale.md."""

import json
from pathlib import Path
from statistics import median
from typing import Any

from page_tables import fill

HERE = Path(__file__).parent
RECORD = HERE / "records" / "scale.json"
PAGE = HERE.parent / "docs" / "scale.md"
SIDES = {
    "one": "`predict`, 1 thread",
    "workers": "`predict --workers 2`",
    "ray": "`predict --engine ray --workers 2`",
    "plain1": "pandas + torch, 1 thread",
    "plain2": "pandas + torch, 2 threads",
}
CLUSTER_LAYERS = "bidirectional LSTM 2x64"
TYPICAL_STEPS = 100
NODE_CORES = 16


def tables(record: dict[str, Any]) -> dict[str, str]:
    """Return the Markdown of each table by its name on the page."""
    return {
        "layers": layers_table(record),
        "limits": limits_table(record),
        "comparison": comparison_table(record),
    }


def layers_table(record: dict[str, Any]) -> str:
    """Return what a core computes in a second, for sequences in memory."""
    peak = record["peak_gflops"]
    lines = [
        f"{record['machine']['processor']}, torch {record['machine']['torch']}; the peak of one "
        f"core is {peak:.0f} GFLOP/s.",
        "",
        "| layers | time steps | sequences/s | time steps/s | GFLOP/s | share of the peak |",
        "|---|---|---|---|---|---|",
    ]
    for shape in record["core"]["shapes"]:
        steps = _computed(shape)
        gflops = steps / shape["steps"] * shape["flops"] / 1e9
        lines.append(
            f"| {shape['layers']} | {shape['steps']:,} | {steps / shape['steps']:,.0f} "
            f"| {steps:,.0f} | {gflops:.0f} | {100 * gflops / peak:.0f} % |"
        )
    return "\n".join(lines)


def limits_table(record: dict[str, Any]) -> str:
    """Return how the time divides between arithmetic and reading, and the bytes that it needs."""
    read_rate = _read(record)
    step_bytes = record["input"]["size_bytes"] / record["input"]["steps"]
    part_ms = 1000 * median(record["core"]["part_seconds"])
    lines = [
        f"Reading: {read_rate:,.0f} time steps/s on one core, {step_bytes:.0f} bytes for each. A "
        f"file with a single sequence takes {part_ms:.0f} ms.",
        "",
        f"| layers | computed steps/s | with reading, steps/s | share of reading | MB/s, one core "
        f"| Gbit/s, {NODE_CORES} cores |",
        "|---|---|---|---|---|---|",
    ]
    for shape in _typical_shapes(record):
        both = _together(_computed(shape), read_rate)
        mbytes = both * step_bytes / 1e6
        lines.append(
            f"| {shape['layers']} | {_computed(shape):,.0f} | {both:,.0f} "
            f"| {100 * both / read_rate:.0f} % | {mbytes:.1f} "
            f"| {NODE_CORES * mbytes * 8 / 1000:.2f} |"
        )
    return "\n".join(lines)


def comparison_table(record: dict[str, Any]) -> str:
    """Return the medians of the sides over the rounds."""
    given = record["input"]
    lines = [
        f"{given['steps']:,} time steps, {given['sequences']:,} sequences, {given['files']} files, "
        f"{given['size_bytes'] / 1e6:,.0f} MB; {record['machine']['processor']}, "
        f"{record['machine']['cores']} cores. Medians of {len(record['samples']['one'])} rounds "
        "(minimum to maximum).",
        "",
        "| side | seconds | sequences/s | time steps/s | peak memory, MB |",
        "|---|---|---|---|---|",
    ]
    for side, title in SIDES.items():
        samples = record["samples"][side]
        seconds = [one["seconds"] for one in samples]
        middle = median(seconds)
        peak = median(one["peak_bytes"] for one in samples) / 1e6
        lines.append(
            f"| {title} | {middle:.1f} ({min(seconds):.1f} to {max(seconds):.1f}) "
            f"| {given['sequences'] / middle:,.0f} | {given['steps'] / middle:,.0f} | {peak:,.0f} |"
        )
    return "\n".join(lines)


def steps_per_second(record: dict[str, Any]) -> float:
    """Return the time steps that one core reads and computes in a second, with the model above."""
    (shape,) = (shape for shape in _typical_shapes(record) if shape["layers"] == CLUSTER_LAYERS)
    return _together(_computed(shape), _read(record))


def _typical_shapes(record: dict[str, Any]) -> list[dict[str, Any]]:
    return [shape for shape in record["core"]["shapes"] if shape["steps"] == TYPICAL_STEPS]


def _computed(shape: dict[str, Any]) -> float:
    """Return the time steps that are computed in a second."""
    return float(shape["sequences"] * shape["steps"] / median(shape["seconds"]))


def _read(record: dict[str, Any]) -> float:
    """Return the time steps that are read in a second."""
    reading = record["core"]["reading"]
    return float(reading["steps"] / median(reading["seconds"]))


def _together(one: float, other: float) -> float:
    """Return the rate of two kinds of work that are done in turn."""
    return 1 / (1 / one + 1 / other)


def read_record() -> dict[str, Any]:
    record: dict[str, Any] = json.loads(RECORD.read_text())
    return record


def write_page() -> None:
    for name, table in tables(read_record()).items():
        fill(PAGE, f"benchmarks/scale.py: {name}", table)
