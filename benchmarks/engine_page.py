"""The page docs/engine-speed.md, from the record alone."""

from statistics import median
from typing import Any

Result = dict[str, Any]

TITLES = {
    "train": "Training: the layers' forward and backward pass",
    "train-avx2": "Training without AVX-512",
    "infer": "Inference",
    "step": "The whole training step",
    "latency": "One sequence alone",
    "memory": "Memory",
}
NOTES = {
    "train": "From the same weights and inputs; the inputs need no gradient. torch's ragged rows "
    "are a PackedSequence, packed beforehand.",
    "train-avx2": "The same, with Numba, torch, oneDNN and MKL told that the processor has AVX2 at "
    "most. The peak is the one above: this processor takes two cycles for an AVX-512 instruction.",
    "infer": "In torch's inference mode; onnxruntime and OpenVINO on an ONNX graph of the same "
    "weights, in float32, on as many threads as torch. Their times are of padded rows with "
    "`sequence_lens` where rows are ragged.",
    "step": "bothways: `Training` with its model, loss and fused Adam, gathering of the batch "
    "included. torch: a plain script with Adam, its batch ready in memory. GFLOP/s are the "
    "layers' FLOPs over the time of the whole step; beside them, what the layers alone reach.",
    "latency": "Batch 1, 28 steps, the outputs at the last step; medians (p50).",
    "memory": "Growth of a fresh process, in MB: the first step, of one row and one step, loads "
    "the engine's code; then the peak of 10 training steps above that.",
}


def page(record: dict[str, Any]) -> str:
    """Return the Markdown page."""
    cases: dict[str, Any] = record["cases"]
    results: list[Result] = [result for case in cases.values() for result in case["work"].values()]
    lines = ["# Speed of the engine", ""]
    peak = max(best for result in results for best in result["peak_gflops"])
    if any(result["quick"] for result in results):
        lines += ["**Holds quick trials: not a measurement.**", ""]
    lines += [
        "The recurrent layers against `torch.nn` as installed, and against torch with malloc tuned "
        "to keep freed memory (`bothways.cli.process.keep_freed_memory`). Each side runs in a "
        "process of its own in its default environment, the sides alternating. A time is the "
        "median over the processes' medians, with (minimum to maximum); a ratio above 1 means that "
        "bothways is faster, and is the median over the rounds.",
        "",
        "GFLOP/s count the matrix products, a training step as three forward passes; of peak: of "
        "the fused multiply-adds that all cores do out of registers, the best of many repeats in "
        "the same rounds. With readout `last`, the top layer's backward direction has to run one "
        "step only: the first figure counts the full computation all the same, the second what was "
        "executed.",
        "",
    ]
    for work, title in TITLES.items():
        shown = {name: case for name, case in cases.items() if work in case["work"]}
        if shown:
            lines += [f"## {title}", "", NOTES[work], "", *_table(work, shown, peak), ""]
            lines += _missed(work, shown, peak)
    machines = {
        f"{m['processor']}, {m['cores']} cores, {m['threads']} threads, torch {m['torch']} "
        f"({m['cpu_capability']}), numba {m['numba']}, onnxruntime {m['onnxruntime']}, OpenVINO "
        f"{m['openvino']}, Python {m['python']}, backend {m['backend']}"
        for m in (result["machine"] for result in results)
    }
    worst = max(result["errors"]["bothways"] for result in results)
    lines += [
        "## Conditions",
        "",
        f"Machine: {'; '.join(sorted(machines))}; a shared virtual machine. Peak: "
        f"{peak:,.0f} GFLOP/s.",
        "",
        "Before anything was timed, outputs and every gradient agreed with torch in float64: the "
        f"largest error of bothways was {worst:.1e} of a tensor's largest value, "
        f"{record['tolerance']:g} allowed.",
        "",
        "Raw samples: [benchmarks/records/engine.json](../benchmarks/records/engine.json). Made by "
        "`python benchmarks/engine.py`.",
        "",
    ]
    return "\n".join(lines)


def _table(work: str, cases: dict[str, Any], peak: float) -> list[str]:
    rows = [
        _memory(case) if work == "memory" else _row(work, case, peak) for case in cases.values()
    ]
    return [
        "| " + " | ".join(rows[0]) + " |",
        "|---" * len(rows[0]) + "|",
        *("| " + " | ".join(row.values()) + " |" for row in rows),
    ]


def _row(work: str, case: dict[str, Any], peak: float) -> dict[str, str]:
    """Return the cells of a line, by their column's title: ratios first."""
    result = case["work"][work]
    samples, lines = result["samples"], {line["against"]: line for line in result["lines"]}
    row = {"against torch": _ratio(lines["torch"]), "target": _target(lines["torch"])}
    if work == "infer":
        row["against the better runtime"] = _ratio(lines["best runtime"])
        row["its target"] = _target(lines["best runtime"])
    if work == "latency":
        row["against onnxruntime"] = _ratio(lines["onnxruntime"])
        row["its target"] = _target(lines["onnxruntime"])
    row["work"] = result["title"]
    if "torch-tuned" in lines:
        row["against tuned torch"] = _ratio(lines["torch-tuned"])
    row |= {
        f"{side}, ms": _milliseconds(samples[side]) for side in samples if side != "torch-tuned"
    }
    if work != "latency":
        row["GFLOP/s"], row["% of peak"] = _efficiency(result, peak)
    if work == "step":
        layers = case["work"].get("train")
        row["layers alone, % of peak"] = _efficiency(layers, peak)[1] if layers else "-"
    return row


def _memory(case: dict[str, Any]) -> dict[str, str]:
    result = case["work"]["memory"]
    (ours,), (theirs,) = (result["samples"][side] for side in ("bothways", "torch"))
    return {
        "bothways, 10 steps": f"{ours[1]:,.0f}",
        "torch, 10 steps": f"{theirs[1]:,.0f}",
        "work": result["title"],
        "bothways, loading": f"{ours[0]:,.0f}",
        "torch, loading": f"{theirs[0]:,.0f}",
    }


def _ratio(line: Result) -> str:
    low, high = line["range"]
    return f"**{line['ratio']:.2f}** ({low:.2f} to {high:.2f})"


def _target(line: Result) -> str:
    if "target" not in line:
        return "-"
    aim = f", aim {line['aim']:g}" if "aim" in line else ""
    return f"{line['target']:g}{aim}: {'reached' if line['reached'] else '**not reached**'}"


def _milliseconds(processes: list[list[float]]) -> str:
    medians = [median(one) / 1e3 for one in processes]
    digits = 3 if median(medians) < 1 else 1
    middle, low, high = (f"{v:,.{digits}f}" for v in (median(medians), min(medians), max(medians)))
    return f"{middle} ({low} to {high})"


def _efficiency(result: Result, peak: float) -> tuple[str, str]:
    """Return bothways' GFLOP/s and its percentage of peak; both twice where steps are skipped."""
    seconds = median(median(one) for one in result["samples"]["bothways"]) / 1e6
    rates = [flops / seconds / 1e9 for flops in dict.fromkeys(result["flops"])]
    return (
        " / ".join(f"{rate:,.0f}" for rate in rates),
        " / ".join(f"{100 * rate / peak:.0f}" for rate in rates),
    )


def _missed(work: str, cases: dict[str, Any], peak: float) -> list[str]:
    """Return a list of the cases that miss a target, each with what limits it."""
    items = []
    for case in cases.values():
        result = case["work"][work]
        missed = [
            f"{line['ratio']:.2f} of {line['target']:g} against {line['against']}"
            for line in result["lines"]
            if not line.get("reached", True)
        ]
        if not missed:
            continue
        text = f"- Not reached: {result['title']}: {'; '.join(missed)}."
        of_torch = next(line for line in result["lines"] if line["against"] == "torch")
        if work in ("train", "infer"):
            seconds = median(median(one) for one in result["samples"]["bothways"]) / 1e6
            at_peak = of_torch["ratio"] * seconds * peak * 1e9 / result["flops"][1]
            text += f" At 100 % of this machine's peak it would be {at_peak:.2f} against torch."
        items.append(f"{text} {case['limits'].get(work, '')}".rstrip())
    return [*items, ""] if items else []
