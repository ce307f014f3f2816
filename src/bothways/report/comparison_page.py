"""The report of several runs side by side: what its template shows."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bothways.errors import ConfigError
from bothways.models.card import describe_architecture
from bothways.pages.examination import Examination, examine
from bothways.report import charts
from bothways.report.mistakes import draw
from bothways.report.paired import compare_answers, right_alone
from bothways.report.record import RunRecord
from bothways.report.run_page import duration, plain

Table = list[list[str]]


def comparison_values(records: Sequence[RunRecord]) -> dict[str, Any]:
    """Return the values of the template `comparison.html`.

    Raises
    ------
    ConfigError
        If a run is named twice, or time steps have labels in some runs only.
    """
    folders = [record.folder.resolve() for record in records]
    for number, folder in enumerate(folders):
        if folder in folders[:number]:
            raise ConfigError(
                f"run {records[number].folder} is named twice; expected different runs. Omit one."
            )
    targets = {record.model.manifest.model.target for record in records}
    if len(targets) > 1:
        raise ConfigError(
            f"some of the runs {', '.join(str(r.folder) for r in records)} label time steps and "
            "others sequences; expected runs of one kind. Compare them separately."
        )
    names = _names([record.folder for record in records])
    curves = {name: record.epochs for name, record in zip(names, records, strict=True)}
    examined, reason = _examine_together(records)
    return {
        "has_differences": bool(examined),
        "title": f"Comparison of {', '.join(names)}",
        "names": names,
        "of_steps": targets == {"step"},
        "runs": [
            [name, describe_architecture(record.model.manifest), _origin(record)]
            for name, record in zip(names, records, strict=True)
        ],
        "loss_curves": charts.overlaid_curves(curves, "loss"),
        "accuracy_curves": charts.overlaid_curves(curves, "accuracy"),
        "metric_rows": _metrics(names, records, same_data=bool(examined)),
        "setting_rows": _settings(records),
        "not_paired": reason,
        **_paired_values(names, records, examined),
    }


def _names(folders: Sequence[Path]) -> list[str]:
    """Return the names of the folders, or their paths if the names are not distinct."""
    names = [folder.resolve().name for folder in folders]
    return names if len(set(names)) == len(names) else [str(folder) for folder in folders]


def _origin(record: RunRecord) -> str:
    training = record.request.training
    return f"recipe {record.request.recipe}, seed {training.seed}"


def _examine_together(records: Sequence[RunRecord]) -> tuple[list[Examination], str]:
    """Run all models on their common test set, or return why that is impossible."""
    splits = [record.main_split for record in records]
    if set(splits) != {"test"}:
        return [], "at least one of the runs has no test set"
    parts = []
    for record in records:
        if record.data is None:
            return (
                [],
                f"the data of {record.folder} could not be read ({record.no_data.rstrip('.')})",
            )
        parts.append(record.data.splits["test"])
    if len({part.fingerprint() for part in parts}) > 1:
        return [], "the runs have different test sets"
    if len({record.model.classes for record in records}) > 1:
        return [], "the runs have different classes"
    return [
        examine(record.model, "test", part) for record, part in zip(records, parts, strict=True)
    ], ""


def _metrics(names: Sequence[str], records: Sequence[RunRecord], *, same_data: bool) -> Table:
    """Return metrics of the main splits, with the difference to the first run on the same data."""
    rows = []
    for name, record in zip(names, records, strict=True):
        metrics, first = record.metrics.splits[record.main_split], records[0]
        show = same_data and record is not first
        base = first.metrics.splits[first.main_split]
        rows.append(
            [
                name,
                record.main_split,
                *(
                    _with_difference(getattr(metrics, field), getattr(base, field), form, show=show)
                    for field, form in (
                        ("accuracy", "%"),
                        ("balanced_accuracy", "%"),
                        ("macro_f1", ""),
                        ("log_loss", ""),
                        ("expected_calibration_error", ""),
                    )
                ),
                f"{record.num_parameters:,}",
                duration(record.training_seconds),
            ]
        )
    return rows


def _with_difference(value: float, base: float, form: str, *, show: bool) -> str:
    text = f"{value:.2%}" if form else f"{value:.4f}"
    if not show:
        return text
    difference = value - base
    return f"{text} ({100 * difference:+.2f})" if form else f"{text} ({difference:+.4f})"


def _settings(records: Sequence[RunRecord]) -> Table:
    """Return the settings that differ, one row each."""
    values = []
    for record in records:
        request = record.request
        own = {"recipe": request.recipe, "threads": request.threads, "data": request.source}
        values.append({**own, **request.model.model_dump(), **request.training.model_dump()})
    return [
        [name.replace("_", " "), *(plain(own.get(name)) for own in values)]
        for name in values[0]
        if len({str(own.get(name)) for own in values}) > 1
    ]


def _paired_values(
    names: Sequence[str], records: Sequence[RunRecord], examined: Sequence[Examination]
) -> dict[str, Any]:
    if not examined:
        return {"test_name": "", "test_rows": [], "alone": [], "test_count": ""}
    tests = [
        (first, second, compare_answers(examined[first], examined[second]))
        for first in range(len(names))
        for second in range(first + 1, len(names))
    ]
    alone = []
    for n, (name, record, own) in enumerate(zip(names, records, examined, strict=True)):
        rows = right_alone(examined, n)
        others = [other for m, other in enumerate(examined) if m != n]
        # A sequence is drawn with the wrong answer of another run; of this run it is known.
        wrong = others[0] if own.sequences.target == "sequence" else own
        drawing = draw(record.model, wrong, rows, f"Sequences that only {name} predicts correctly")
        alone.append({"name": name, "count": f"{len(rows):,}", "drawing": drawing})
    return {
        "test_name": tests[0][2].test,
        "test_count": f"{examined[0].total:,}",
        "test_rows": [
            [
                f"{names[second]} against {names[first]}",
                f"{100 * test.difference:+.2f}",
                f"{names[first]}: {test.first_only:,}, {names[second]}: {test.second_only:,}",
                _p_value(test.p_value),
            ]
            for first, second, test in tests
        ],
        "alone": alone,
    }


def _p_value(value: float) -> str:
    return f"{value:.1e}" if value < 0.0005 else f"{value:.3f}"
