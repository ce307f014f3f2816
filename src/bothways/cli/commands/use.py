"""Use a trained model: evaluate, predict."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from bothways.cli.app import AsJson, Device, Model, Threads, command, use_threads
from bothways.cli.completion import choices
from bothways.cli.signals import sigterm_as_ctrl_c
from bothways.errors import ConfigError, counted

_FOLLOW = "Follow a stream"
_MANY = "Many files"


@command(
    "evaluate",
    """\
  bothways evaluate runs/0001
  bothways evaluate runs/0001 mnist --split test
  bothways evaluate runs/0001 mnist --json > metrics.json
  bothways evaluate hf://owner/name mnist
""",
)
def evaluate(
    model: Model,
    source: Annotated[
        str | None,
        typer.Argument(metavar="DATA", help="As for train; default: the data of the run."),
    ] = None,
    split: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="train, validation, test, all, or data: all of another DATA.",
            autocompletion=choices("train", "validation", "test", "all", "data"),
        ),
    ] = "all",
    lookahead: Annotated[
        str | None,
        typer.Option(metavar="N,N,all", help="Compare limits of how many steps to look ahead."),
    ] = None,
    as_json: AsJson = False,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Evaluate a model on labeled data.

    Prints accuracy, metrics for each class, the confusion matrix and the calibration error.
    """
    from bothways.cli.print_metrics import metrics_json, print_lookaheads, print_metrics
    from bothways.models.loading import load
    from bothways.training.run_evaluation import evaluate_lookaheads, evaluate_splits

    use_threads(threads)
    trained = load(model).to(device)
    if lookahead is not None:
        limits = parse_lookaheads(lookahead)
        compared = evaluate_lookaheads(trained, model, limits.values(), source, split)
        by_name = {name: compared[limit] for name, limit in limits.items()}
        if as_json:
            values = {name: metrics_json(found) for name, found in by_name.items()}
            print(json.dumps(values, indent=2))
        else:
            print_lookaheads(by_name)
        return
    metrics = evaluate_splits(trained, model, source, split)
    if as_json:
        print(json.dumps(metrics_json(metrics), indent=2))
    else:
        for name, found in metrics.items():
            if found is not None:
                print_metrics(name, found)


def parse_lookaheads(text: str) -> dict[str, int | None]:
    """Return the lookaheads in a text like "0,8,all", by name.

    Raises
    ------
    ConfigError
        If one is neither a number nor `all`.
    """
    names = text.split(",")
    for name in names:
        if name != "all" and not name.isdecimal():
            raise ConfigError(
                f"--lookahead has {name!r}; expected numbers of time steps, or all, separated by "
                "commas, like 0,8,32,all. Correct it."
            )
    return {name: None if name == "all" else int(name) for name in names}


@command(
    "predict",
    """\
  bothways predict runs/0001 new.npz --out predictions.csv
  bothways predict runs/0001 new.csv --format jsonl
  bothways predict runs/0001 three.png seven.jpg
  bothways predict runs/0001 'in/*.parquet' --out out --workers 4
  tail -f sensor.jsonl | bothways predict runs/0001 - --follow
""",
)
def predict(
    model: Model,
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE",
            help="Data in any format of train, without labels too; PNG and JPEG pictures; "
            "with --follow, -.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(metavar="FILE", help="A .csv or .jsonl file.", show_default="standard output"),
    ] = Path("-"),
    format: Annotated[
        str | None,
        typer.Option(
            metavar="csv|jsonl",
            help="Format of the predictions.",
            show_default="as --out ends",
            autocompletion=choices("csv", "jsonl"),
        ),
    ] = None,
    aggregate: Annotated[
        bool, typer.Option("--aggregate", help="Predict recordings, as means of their windows.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace --out.")] = False,
    follow: Annotated[
        bool,
        typer.Option(
            "--follow",
            help="Answer time steps as they come on standard input, as JSON lines.",
            rich_help_panel=_FOLLOW,
        ),
    ] = False,
    segments: Annotated[
        bool,
        typer.Option(
            "--segments",
            help="Answer with segments of equal labels, when they end.",
            rich_help_panel=_FOLLOW,
        ),
    ] = False,
    max_sequences: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Open sequences at the same time.",
            show_default="10,000",
            rich_help_panel=_FOLLOW,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Processes that predict; --out is then a folder.",
            show_default="1",
            rich_help_panel=_MANY,
        ),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="What runs the processes: local or ray.",
            show_default="local",
            autocompletion=choices("local", "ray"),
            rich_help_panel=_MANY,
        ),
    ] = None,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Predict the class of each sequence, or of each time step.

    CSV has one row for each sequence or, if time steps are labeled, for each segment of equal
    labels. JSON lines also contain the label of each step. Files may be larger than memory.
    With --follow, steps are read from standard input and answered as they come. With --workers,
    each file gets a Parquet file of predictions in the folder --out; finished ones are kept.
    """
    from tqdm import tqdm

    from bothways.models.loading import load
    from bothways.models.predict_files import predict_files
    from bothways.models.prediction_file import format_of, prediction_file, write_answers

    use_threads(threads)
    if follow:
        contradictions = {
            "--out": str(out) != "-",
            "--format": format not in (None, "jsonl"),
            "--aggregate": aggregate,
            "--force": force,
            "--workers": workers is not None,
            "--engine": engine is not None,
            "--device": device not in ("auto", "cpu"),
        }
        _check_alone(sources, contradictions)
        from bothways.cli.predictions.follow import follow as run

        run(load(model), segments=segments, most_sequences=max_sequences)
        return
    if segments or max_sequences is not None or "-" in sources:
        given = (
            "--segments" if segments else "FILE -" if max_sequences is None else "--max-sequences"
        )
        raise ConfigError(
            f"{given} was given without --follow; expected both. Run: bothways predict MODEL - "
            "--follow"
        )
    if workers is not None or engine is not None or out.is_dir():
        from bothways.cli.predictions.score import check_many, score

        engine = engine or "local"
        check_many(out, engine=engine, format=format, device=device, force=force)
        with sigterm_as_ctrl_c():
            score(
                model,
                sources,
                out,
                engine=engine,
                workers=workers or 1,
                threads=threads or 1,
                aggregate=aggregate,
            )
        return
    to_stdout = str(out) == "-"
    chosen = format_of(None if to_stdout else out, format)
    trained = load(model).to(device)

    def note(text: str) -> None:
        tqdm.write(text, file=sys.stderr)

    answers = tqdm(
        predict_files(trained, sources, note, aggregate=aggregate),
        unit=" sequences",
        disable=None,
        leave=False,
    )
    if to_stdout:
        write_answers(answers, sys.stdout, chosen)
    else:
        with prediction_file(out, force) as file:
            count = write_answers(answers, file, chosen)
        print(f"{counted(count, 'prediction')} in {out}", file=sys.stderr)


def _check_alone(sources: list[str], contradictions: dict[str, bool]) -> None:
    """Raise ConfigError if an argument contradicts --follow.

    Parameters
    ----------
    sources : list of str
    contradictions : dict of bool
        By option: whether it was given.
    """
    if sources != ["-"]:
        raise ConfigError(
            f"FILE is {sources[0]} but --follow reads standard input; expected -. Run: "
            "bothways predict MODEL - --follow"
        )
    for name, is_given in contradictions.items():
        if is_given:
            raise ConfigError(
                f"{name} was given with --follow, which answers each step in one process, "
                f"on the CPU, in JSON lines on standard output; expected one of them. Omit {name}."
            )
