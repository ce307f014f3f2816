"""Generation of a page, docs/engine-speed.md or that of another processor, from its record."""

from statistics import median
from typing import Any

Result = dict[str, Any]

AROUND_TARGET = 0.1
"""Milliseconds of Python around the layers in the answer to one sequence, at most."""

TITLES = {
    "train": "Training: the layers' forward and backward pass",
    "train-avx2": "Training without AVX-512",
    "infer": "Inference",
    "train-bfloat16": "Training with bfloat16",
    "infer-bfloat16": "Inference with bfloat16",
    "step": "The whole training step",
    "latency": "One sequence alone",
    "answer": "The answer of a model to one sequence",
    "memory": "Memory",
}
NOTES = {
    "train": "All sides use the same weights and inputs; the inputs require no gradient. Ragged "
    "rows are passed to torch as a PackedSequence, packed in advance.",
    "train-avx2": "The same measurement with Numba, torch, oneDNN and MKL limited to AVX2. The "
    "peak is that of AVX-512: AVX2 can reach all of it, or half of it where the units of the "
    "processor are 512 bits wide.",
    "infer": "torch's inference mode. onnxruntime and OpenVINO run an ONNX graph with the same "
    "weights in float32, on as many threads as torch. They run ragged rows padded, with "
    "`sequence_lens`.",
    "train-bfloat16": '`precision="bfloat16"` against our own float32. The instruction that '
    "multiplies pairs of bfloat16 numbers takes as long as a float32 multiply-add on some "
    "processors, and four times as long on others "
    "([decision 54](decisions/0054-bfloat16.md)). The peak is that of float32.",
    "infer-bfloat16": "The same without gradients. OpenVINO: the ONNX graph with its default "
    "precision, which is bfloat16 on processors that have it.",
    "step": "bothways: `Training` with its model, loss and fused Adam, including the gathering of "
    "the batch. torch: a plain script with Adam, with the batch already in memory. GFLOP/s are the "
    "FLOPs of the layers divided by the time of the whole step. Against our layers: the time of "
    "the layers' passes through autograd, divided by that of the whole step, which for plain "
    "networks does not use autograd.",
    "latency": "Batch size 1, outputs at the last step; medians (p50).",
    "answer": "`predict_proba` of a list of one array, by a loaded model with readout `flatten`. "
    "Our layers: the prepared layers alone; the difference is the Python code around them, which "
    "is measured as a time because it does not depend on the layers. torch: `softmax` of a plain "
    "module.",
    "memory": "Memory growth of a new process, in MB. Loading: the first call, with one row and "
    "one time step, which loads the code. 10 steps: the peak of 10 training steps above that.",
}


def page(record: dict[str, Any], processor: str | None, others: list[str]) -> str:
    """Return the Markdown page of a processor, or the main page, which names the `others`."""
    cases: dict[str, Any] = record["cases"]
    results: list[Result] = [result for case in cases.values() for result in case["work"].values()]
    suffix, option = (f"-{processor}", f" --processor {processor}") if processor else ("", "")
    lines = ["# Speed of the engine" + (f" ({processor})" if processor else ""), ""]
    peaks = [peak for result in results for peak in result["peak_gflops"]]
    if any(result["quick"] for result in results):
        lines += ["**Contains results of quick trials, which are not measurements.**", ""]
    lines += [
        "This page compares the recurrent layers with `torch.nn` as installed, and with torch "
        "when malloc is tuned to keep freed memory (`bothways.cli.process.keep_freed_memory`). "
        "Each side runs in separate processes in its default environment, and the sides "
        "alternate. A time is the median over the processes' medians, with (minimum to "
        "maximum). A ratio is the median over the rounds; above 1, bothways is faster.",
        "",
        "GFLOP/s count the matrix products only; a training step counts as three forward "
        "passes. The peak is the rate of fused multiply-adds on registers on all cores, measured "
        "in each round beside the sides; a share of it is the median over the rounds. With "
        "readout `last`, the backward direction of the top layer runs one step only: the first "
        "figure counts the full computation, the second the steps that were executed.",
        "",
    ]
    if others:
        links = ", ".join(f"[{name}](engine-speed-{name}.md)" for name in others)
        lines += [f"Some of the lines were measured on other processors too: {links}.", ""]
    for work, title in TITLES.items():
        shown = {name: case for name, case in cases.items() if work in case["work"]}
        if shown:
            lines += [f"## {title}", "", NOTES[work], "", *_table(work, shown), ""]
            lines += _missed(work, shown)
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
        f"{median(peaks):,.0f} GFLOP/s ({min(peaks):,.0f} to {max(peaks):,.0f}).",
        "",
        "Before the measurements, outputs and all gradients were compared with torch in float64. "
        f"The largest error of bothways was {worst:.1e} of the largest value of a tensor; "
        f"{record['tolerance']:g} is allowed.",
        "",
        f"Raw samples: `benchmarks/records/engine{suffix}.json`. This "
        f"page is generated by `python benchmarks/engine.py{option}`.",
        "",
    ]
    return "\n".join(lines)


def _table(work: str, cases: dict[str, Any]) -> list[str]:
    rows = [_memory(case) if work == "memory" else _row(work, case) for case in cases.values()]
    return [
        "| " + " | ".join(rows[0]) + " |",
        "|---" * len(rows[0]) + "|",
        *("| " + " | ".join(row.values()) + " |" for row in rows),
    ]


def _row(work: str, case: dict[str, Any]) -> dict[str, str]:
    """Return the cells of a row by column title: the share of the peak and the ratios first."""
    result = case["work"][work]
    samples, lines = result["samples"], {line["against"]: line for line in result["lines"]}
    row = {}
    if work not in ("latency", "answer"):
        row["% of peak"] = _percent(result)
        if work in ("train", "infer"):
            row["target, %"] = _share_target(result)
    if work == "step":
        row["layers alone, % of peak"] = (
            _percent(case["work"]["train"]) if "train" in case["work"] else "-"
        )
    first = "torch" if "torch" in lines else "bothways-float32"
    row |= {f"against {first}": _ratio(lines[first]), "target": _target(lines[first])}
    if work == "infer":
        row["against the better runtime"] = _ratio(lines["best runtime"])
        row["its target"] = _target(lines["best runtime"])
    if work == "infer-bfloat16":
        row["against OpenVINO"] = _ratio(lines["openvino-default"])
        row["its target"] = _target(lines["openvino-default"])
    if work == "latency":
        row["against onnxruntime"] = _ratio(lines["onnxruntime"])
        row["its target"] = _target(lines["onnxruntime"])
    if work == "answer":
        around = _around_layers(result)
        row["around the layers, ms"] = f"**{around:.3f}**"
        row["its target"] = f"{AROUND_TARGET:g}: {_reached(around <= AROUND_TARGET)}"
    row["work"] = result["title"]
    if work == "step":
        layers = lines.get("layers")
        row["against our layers"] = _ratio(layers) if layers else "-"
        row["its target"] = _target(layers) if layers else "-"
    if "torch-tuned" in lines:
        row["against tuned torch"] = _ratio(lines["torch-tuned"])
    sides = ["bothways", "layers", "torch"] if work == "step" else list(samples)
    row |= {
        f"{side}, ms": _milliseconds(samples[side]) if side in samples else "-"
        for side in sides
        if side != "torch-tuned"
    }
    if work not in ("latency", "answer"):
        rates = [
            flops / median(map(median, samples["bothways"])) / 1e3
            for flops in dict.fromkeys(result["flops"])
        ]
        row["GFLOP/s"] = " / ".join(f"{rate:,.0f}" for rate in rates)
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
    return f"{line['target']:g}{aim}: {_reached(line['reached'])}"


def _reached(is_reached: bool) -> str:
    return "reached" if is_reached else "**not reached**"


def _milliseconds(processes: list[list[float]]) -> str:
    medians = [median(one) / 1e3 for one in processes]
    digits = 3 if median(medians) < 1 else 1
    middle, low, high = (f"{v:,.{digits}f}" for v in (median(medians), min(medians), max(medians)))
    return f"{middle} ({low} to {high})"


def _shares(result: Result) -> list[float]:
    """Return the share of the peak; two figures if steps are skipped, the executed ones last."""
    rounds = list(zip(result["samples"]["bothways"], result["peak_gflops"], strict=True))
    return [
        median(flops / median(samples) / 1e3 / peak for samples, peak in rounds)
        for flops in dict.fromkeys(result["flops"])
    ]


def _percent(result: Result) -> str:
    return " / ".join(f"{100 * share:.0f}" for share in _shares(result))


def _share_target(result: Result) -> str:
    target = result["peak_share"]
    if target is None:
        return "-"
    return f"{100 * target:.0f}: {_reached(_shares(result)[-1] >= target)}"


def _around_layers(result: Result) -> float:
    """Return the milliseconds that an answer takes longer than its layers."""
    rounds = zip(result["samples"]["bothways"], result["samples"]["layers"], strict=True)
    return float(median(median(whole) - median(layers) for whole, layers in rounds)) / 1e3


def _missed(work: str, cases: dict[str, Any]) -> list[str]:
    """Return a list of the cases that miss a target, with the reasons."""
    items = []
    for case in cases.values():
        result = case["work"][work]
        missed = [
            f"{line['ratio']:.2f} of {line['target']:g} against {line['against']}"
            for line in result["lines"]
            if not line.get("reached", True)
        ]
        share = _shares(result)[-1] if work != "memory" else 1.0
        at_peak = ""
        of_torch = next((line for line in result["lines"] if line["against"] == "torch"), None)
        if work in ("train", "infer") and of_torch and not of_torch.get("reached", True):
            at_peak = (
                f" At 100 % of this machine's peak, it would be {of_torch['ratio'] / share:.2f} "
                "against torch."
            )
        if result["peak_share"] is not None and share < result["peak_share"]:
            missed.append(f"{100 * share:.0f} of {100 * result['peak_share']:.0f} % of the peak")
        if work == "answer" and _around_layers(result) > AROUND_TARGET:
            missed.append(f"{_around_layers(result):.3f} of {AROUND_TARGET:g} ms around the layers")
        if missed:
            text = f"- Not reached: {result['title']}: {'; '.join(missed)}.{at_peak}"
            items.append(f"{text} {case['limits'].get(work, '')}".rstrip())
    return [*items, ""] if items else []
