"""Use a trained model: evaluate, predict."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from bothways.cli.app import AsJson, Device, Model, Threads, command, use_threads
from bothways.cli.completion import choices
from bothways.errors import counted


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
    as_json: AsJson = False,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Evaluate a model on labeled data.

    Prints accuracy, metrics for each class, the confusion matrix and the calibration error.
    """
    from bothways.cli.print_metrics import print_metrics
    from bothways.models.trained import load
    from bothways.training.run_evaluation import evaluate_splits

    use_threads(threads)
    metrics = evaluate_splits(load(model).to(device), model, source, split)
    if as_json:
        values = {name: found and found.to_json() for name, found in metrics.items()}
        print(json.dumps(values, indent=2))
    else:
        for name, found in metrics.items():
            if found is not None:
                print_metrics(name, found)


@command(
    "predict",
    """\
  bothways predict runs/0001 new.npz --out predictions.csv
  bothways predict runs/0001 new.csv --format jsonl
  bothways predict runs/0001 three.png seven.jpg
""",
)
def predict(
    model: Model,
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE",
            help="Data in any format of train, without labels too; PNG and JPEG pictures.",
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
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Predict the class of each sequence, or of each time step.

    CSV has one row for each sequence or, if time steps are labeled, for each segment of equal
    labels. JSON lines also contain the label of each step. Files may be larger than memory.
    """
    from tqdm import tqdm

    from bothways.models.predict_files import predict_files
    from bothways.models.prediction_file import format_of, prediction_file, write_answers
    from bothways.models.trained import load

    use_threads(threads)
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
