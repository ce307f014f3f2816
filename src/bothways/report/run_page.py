"""The report of one run: what its template shows."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import astuple
from typing import Any

import numpy as np
from pydantic import BaseModel

from bothways.errors import ConfigError
from bothways.evaluation.metrics import Metrics
from bothways.models.card import describe_architecture, describe_origin, describe_taken
from bothways.pages.examination import Examination
from bothways.pages.examples import playback_examples
from bothways.recipes import load_recipe
from bothways.report import charts
from bothways.report.mistakes import draw_mistakes
from bothways.report.record import RunRecord

_CLASS_ROWS = 200
_CONFUSIONS = 15

Settings = list[tuple[str, str, bool]]


def run_values(record: RunRecord) -> dict[str, Any]:
    """Return the values of the template `run.html`."""
    examined = record.examine()
    manifest, metrics = record.model.manifest, record.metrics
    of_steps = manifest.model.target == "step"
    main = metrics.splits[record.main_split]
    return {
        "title": f"{record.name}: {describe_architecture(manifest)}",
        "architecture": describe_architecture(manifest),
        "origin": f"{record.folder}: {describe_origin(manifest)}",
        "folder": shlex.quote(str(record.folder)),
        "folder_text": json.dumps(str(record.folder), ensure_ascii=False),
        "input_size": manifest.model.input_size,
        "of_steps": of_steps,
        "reads_one_step": manifest.model.readout == "last" and manifest.model.bidirectional,
        "what": "time steps" if of_steps else "sequences",
        "headline": _headline(record, main),
        "loss_curve": charts.loss_curve(record.epochs, record.steps, metrics.epoch),
        "accuracy_curve": charts.accuracy_curve(record.epochs, metrics.epoch),
        "training_note": _training_note(record),
        "main_title": f"{record.main_split.capitalize()} set, {main.count:,} "
        f"{'time steps' if of_steps else 'sequences'}",
        **_splits(metrics.splits),
        **_classes(main, record.model.classes),
        "calibration": _calibration(record),
        "calibration_error": f"{main.expected_calibration_error:.4f}",
        "examined": examined is not None,
        "no_data": record.no_data,
        **({} if examined is None else _examined_values(record, examined)),
        "data_facts": _data_facts(record),
        "has_data": record.data is not None,
        "notes": () if record.data is None else record.data.notes,
        "recipe": record.request.recipe,
        "model_settings": _settings(record.request.model, record, "model"),
        "training_settings": _settings(record.request.training, record, "training"),
        "machine": _machine(record),
    }


def _examined_values(record: RunRecord, examined: Examination) -> dict[str, Any]:
    count, total = len(examined.sequences), examined.total
    sampled = f"These figures are of {count:,} of {total:,} sequences, drawn at random."
    return {
        "reliability": charts.reliability(examined),
        "histogram": charts.confidence_histogram(examined),
        "by_length": charts.accuracy_by_length(examined) if examined.sequences.is_ragged else "",
        "mistakes": draw_mistakes(record.model, examined),
        "mistakes_note": _mistakes_note(examined),
        "examined_note": "" if count == total else sampled,
        "playback_examples": playback_examples(record.model, examined),
    }


def _mistakes_note(examined: Examination) -> str:
    where = f"The number after # is the position in the {examined.split} set, from 0"
    if examined.sequences.target == "step":
        return f"{where}."
    wrong = int((~examined.correct).sum())
    return (
        f"{wrong:,} of {len(examined.correct):,} predictions are wrong. {where}; then the "
        "confidence."
    )


def _headline(record: RunRecord, main: Metrics) -> list[tuple[str, str]]:
    split = record.main_split
    figures = [(f"{split} accuracy", f"{main.accuracy:.2%}")]
    if main.segments is not None:
        figures.append((f"{split} segment F1 at 50 %", f"{main.segments.segment_f1_50:.3f}"))
    figures += [
        ("balanced accuracy", f"{main.balanced_accuracy:.2%}"),
        ("log loss", f"{main.log_loss:.4f}"),
        ("training time", duration(record.training_seconds)),
        ("parameters", f"{record.num_parameters:,}"),
    ]
    return figures


def _training_note(record: RunRecord) -> str:
    steps = sum(epoch.step for epoch in record.epochs)
    batch_size = record.starts[-1].get("batch_size") if record.starts else None
    taken = describe_taken(record.request.training, steps, len(record.epochs), batch_size)
    note = f"{taken}, seed {record.metrics.seed}."
    if record.metrics.epoch is None:
        return f"{note} Without a validation set, the last epoch is used."
    return (
        f"{note} Epoch {record.metrics.epoch} was selected: it is the best on the validation set."
    )


def _splits(splits: Mapping[str, Metrics]) -> dict[str, Any]:
    columns = [
        "split",
        "count",
        "accuracy",
        "balanced",
        "macro F1",
        "log loss",
        "calibration error",
    ]
    has_segments = any(metrics.segments is not None for metrics in splits.values())
    if has_segments:
        columns += ["edit score", "F1 at 10 %", "F1 at 25 %", "F1 at 50 %"]
    rows = []
    for name, metrics in splits.items():
        rows.append(_split_row(name, metrics))
        if metrics.recordings is not None:
            rows[-1][0] = f"{name}, windows"
            rows.append(_split_row(f"{name}, recordings", metrics.recordings))
    return {"split_columns": columns, "split_rows": rows}


def _split_row(name: str, metrics: Metrics) -> list[str]:
    segments = () if metrics.segments is None else astuple(metrics.segments)
    return [
        name,
        f"{metrics.count:,}",
        f"{metrics.accuracy:.2%}",
        f"{metrics.balanced_accuracy:.2%}",
        f"{metrics.macro_f1:.4f}",
        f"{metrics.log_loss:.4f}",
        f"{metrics.expected_calibration_error:.4f}",
        *(f"{value:.3f}" for value in segments),
    ]


def _classes(main: Metrics, classes: tuple[str, ...]) -> dict[str, Any]:
    rows = list(main.per_class.items())
    if len(rows) > _CLASS_ROWS:
        rows = sorted(rows, key=lambda row: row[1].f1)[:_CLASS_ROWS]
    is_drawn = len(classes) <= charts.MATRIX_CLASSES
    return {
        "matrix": charts.confusion_matrix(main.confusion_matrix, classes) if is_drawn else "",
        "confusions": _confusions(main, classes),
        "class_rows": [
            [name, f"{m.precision:.4f}", f"{m.recall:.4f}", f"{m.f1:.4f}", f"{m.count:,}"]
            for name, m in rows
        ],
        "classes_left": len(classes) - len(rows),
    }


def _confusions(main: Metrics, classes: tuple[str, ...]) -> list[list[str]]:
    """Return the most frequent confusions: true class, predicted class, count and share."""
    matrix = np.array(main.confusion_matrix)
    totals = matrix.sum(axis=1)
    np.fill_diagonal(matrix, 0)
    order = np.argsort(-matrix, axis=None, kind="stable")[:_CONFUSIONS]
    places = zip(*np.unravel_index(order, matrix.shape), strict=True)
    return [
        [classes[row], classes[column], f"{count:,}", f"{count / totals[row]:.1%}"]
        for row, column in places
        if (count := int(matrix[row, column]))
    ]


def _calibration(record: RunRecord) -> str:
    found = record.metrics.calibration
    if found is None:
        return ""
    return (
        f"Calibrated on the validation set with temperature {found.temperature:.3f}: log loss "
        f"{found.log_loss_before:.4f} before and {found.log_loss_after:.4f} after, "
        f"calibration error {found.error_before:.4f} before and {found.error_after:.4f} after."
    )


def _data_facts(record: RunRecord) -> Settings:
    manifest = record.model.manifest
    data, features = manifest.provenance.data, manifest.preprocessing.features
    facts = {"data": data.name if data is not None else "unknown"}
    if record.data is not None:
        for name, part in record.data.splits.items():
            facts[f"{name} sequences"] = f"{len(part):,}"
        train = record.data.splits["train"]
        shortest, longest = int(train.lengths.min()), train.longest
        facts["time steps"] = (
            str(longest) if shortest == longest else f"{shortest:,} to {longest:,}"
        )
    names = f": {_some(features)}" if features else ""
    facts["features of a time step"] = f"{manifest.model.input_size}{names}"
    facts["classes"] = f"{len(manifest.classes)}: {_some(manifest.classes)}"
    value_range = manifest.preprocessing.training_range
    if value_range is not None:
        facts["values in training"] = f"{value_range[0]:g} to {value_range[1]:g}"
    return [(name, value, False) for name, value in facts.items()]


def _settings(settings: BaseModel, record: RunRecord, part: str) -> Settings:
    """Return settings by name, with those that differ from the recipe marked."""
    try:
        recipe = load_recipe(record.request.recipe).for_target(record.model.manifest.model.target)
        usual = getattr(recipe, part).model_dump()
    except ConfigError:  # a recipe of another version
        usual = settings.model_dump()
    return [
        (name.replace("_", " "), plain(value), value != usual.get(name))
        for name, value in settings.model_dump().items()
    ]


def _machine(record: RunRecord) -> Settings:
    provenance = record.model.manifest.provenance
    facts = {"training, without validation": duration(record.training_seconds)}
    speeds = [epoch.sequences_per_second for epoch in record.epochs]
    facts["sequences per second"] = f"{np.median(speeds):,.0f}"
    if record.starts:
        last = record.starts[-1]
        facts |= {
            "started": str(record.starts[0].get("at", "unknown")).replace("T", " "),
            "processor": f"{last.get('processor', 'unknown')}, {last.get('cores', '?')} cores",
            "device": str(last.get("device", "unknown")),
            "layers": str(last.get("backend", "unknown")),
            "system": f"{last.get('system', 'unknown')}, Python {last.get('python', '?')}",
        }
        if len(record.starts) > 1:
            facts["times resumed"] = str(len(record.starts) - 1)
    facts["threads"] = str(provenance.threads)
    facts |= {f"{name} version": text for name, text in provenance.versions.items()}
    return [(name, value, False) for name, value in facts.items()]


def duration(seconds: float) -> str:
    """Return a duration with its unit, such as 11.5 s, 3.2 min or 2.5 h."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes = seconds / 60
    return f"{minutes:.1f} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def _some(names: tuple[str, ...], count: int = 12) -> str:
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return ", ".join(names[:count]) + more


def plain(value: Any) -> str:
    """Return the value of a setting as text: yes, no, none, or a number."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
