"""Train and resume."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bothways.cli.app import MODEL, RUN, Settings, Threads, command, given_options, use_threads
from bothways.cli.completion import complete_choice, complete_recipe
from bothways.cli.data_options import fraction_or_file, reads_data
from bothways.cli.signals import stop_on_signal
from bothways.data.options import SPLITS, DataOptions
from bothways.errors import ConfigError

if TYPE_CHECKING:  # it imports torch
    from bothways.training.run import Run


@command(
    "train",
    """\
  bothways train mnist --recipe lstm-last --set readout=flatten --seed 3
  bothways train gestures.npz --test 0.2 --validation 0.1 --out runs/gestures
  bothways train walks.csv --sequence walk --label gait --group person
  bothways train walks.csv --label gait --target step --window 512
  bothways train events.csv --categorical event,page --label outcome
  bothways train runs/gestures --resume
""",
)
@reads_data
def train(
    context: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="mnist, or a .csv, .parquet, .ts, .arff, .jsonl, .npz, .npy or IDX file; several "
            "tables: a folder, 'a/*.csv', s3://…; or a folder for each class.",
        ),
    ],
    options: DataOptions,  # see reads_data
    validation: Annotated[
        str | None,
        typer.Option(
            metavar="FRACTION|FILE", help="Held out to choose the epoch.", rich_help_panel=SPLITS
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Settings to start with; see: bothways recipes.",
            show_default="default for mnist, else time-series",
            autocompletion=complete_recipe,
            rich_help_panel=MODEL,
        ),
    ] = None,
    settings: Settings = None,
    missing: Annotated[
        str | None,
        typer.Option(
            metavar="METHOD",
            help="Impute missing values: mean, zero, mask, refuse.",
            autocompletion=complete_choice("missing"),
            rich_help_panel=MODEL,
        ),
    ] = None,
    calibrated: Annotated[
        bool,
        typer.Option(
            "--calibrate",
            help="Calibrate probabilities on the validation set.",
            rich_help_panel=MODEL,
        ),
    ] = False,
    seed: Annotated[
        int | None,
        typer.Option(metavar="N", help="Same as --set seed=N.", rich_help_panel=MODEL),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder of the run.",
            show_default="a new runs/NNNN",
            rich_help_panel=RUN,
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the run at --out.", rich_help_panel=RUN)
    ] = False,
    continue_run: Annotated[
        bool,
        typer.Option("--resume", help="Continue the stopped run DATA.", rich_help_panel=RUN),
    ] = False,
    device: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="auto, cpu, cuda or mps.",
            autocompletion=complete_choice("device"),
            rich_help_panel=RUN,
        ),
    ] = None,
    report: Annotated[
        bool | None,
        typer.Option(
            "--report/--no-report",
            help="Write report.html.",
            show_default="--report; with --resume, as before",
            rich_help_panel=RUN,
        ),
    ] = None,
    threads: Threads = None,
) -> None:
    """Train a classifier and evaluate it.

    Ctrl-C saves the training; --resume continues it with the same result.
    """
    from bothways.cli.print_metrics import print_run
    from bothways.recipes import parse_settings
    from bothways.training.history import read_epochs
    from bothways.training.loop.joining import joined_processes
    from bothways.training.request import Request, make_request
    from bothways.training.run import resume, start
    from bothways.training.run_directory import RunFolder

    def request_of_run() -> Request:
        given = given_options(context)
        others = [flag for name, flag in given.items() if name not in ("continue_run", "report")]
        if others:
            raise ConfigError(
                f"--resume was given with {', '.join(others)}; expected no settings, because a run "
                "continues with those it was started with. Omit them."
            )
        return RunFolder(Path(source)).read_request()

    def new_request() -> Request:
        chosen = parse_settings(settings or [])
        validation_fraction, validation_file = fraction_or_file(validation)
        for name, value in (
            ("seed", seed),
            ("device", device),
            ("missing", missing),
            ("validation_fraction", validation_fraction),
            ("calibrate", calibrated or None),
        ):
            if value is not None:
                chosen[name] = value
        reading = options.model_copy(update={"validation": validation_file})
        return make_request(source, recipe, reading, chosen, report=report is not False)

    with (
        joined_processes() as processes,
        stop_on_signal(announces=processes.is_first) as should_stop,
    ):
        if continue_run:
            request = processes.together(request_of_run)
            use_threads(request.threads)
            run = resume(source, should_stop=should_stop)
        else:
            use_threads(threads)
            request = processes.together(new_request)
            run = start(request, out=out, force=force, should_stop=should_stop)
    if not processes.is_first:
        return
    if run.data is None:
        print(f"{run.folder} is already finished; nothing was changed.")
    print_run(read_epochs(RunFolder(run.folder).history), run.metrics)
    if request.report if report is None else report:
        _write_report(run)
    print(f"\nsaved in {run.folder}; to use it, run: bothways predict {run.folder} FILE")


def _write_report(run: "Run") -> None:
    """Write the report of a run; whatever goes wrong, the run is complete and must not fail."""
    from bothways.report import write_report

    if run.data is None:  # the run was finished before
        return
    try:
        path = write_report(run.folder, data=run.data)
    except KeyboardInterrupt:
        command = f"bothways report {run.folder}"
        print(f"\nno report: interrupted; to write it, run: {command}", file=sys.stderr)
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        print(f"\nno report: {reason}", file=sys.stderr)
    else:
        print(f"\nreport:     {path}")
