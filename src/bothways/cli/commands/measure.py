"""Compare models, and the speed of the engine."""

import json
from typing import Annotated, Any

import typer

from bothways.cli.app import MODEL, RUN, AsJson, Settings, Threads, command, use_threads
from bothways.cli.completion import complete_choice, complete_recipe, complete_setting
from bothways.cli.data_options import reads_data
from bothways.data.options import DataOptions

_SHAPE = "Layers and their input"


def _size(help: str, *flags: str) -> Any:
    return typer.Option(*flags, metavar="N", help=help, rich_help_panel=_SHAPE)


@command(
    "compare",
    """\
  bothways compare waves.csv --label class
  bothways compare waves.csv --vary cell=lstm,gru --vary readout=final,mean
""",
)
@reads_data
def compare(
    source: Annotated[str, typer.Argument(metavar="DATA")],
    options: DataOptions,  # see reads_data
    recipe: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="See: bothways recipes.",
            autocompletion=complete_recipe,
            rich_help_panel=MODEL,
        ),
    ] = "time-series",
    settings: Settings = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=A,B",
            help="Compare values.",
            show_default="bidirectional=true,false",
            autocompletion=complete_setting,
            rich_help_panel=MODEL,
        ),
    ] = None,
    rounds: Annotated[
        int,
        typer.Option(metavar="N", min=2, help="Splits and seeds.", rich_help_panel=MODEL),
    ] = 5,
    as_json: AsJson = False,
    threads: Threads = None,
) -> None:
    """Compare recurrent networks with simple baselines.

    DATA is as for train. Only its training set is used, in several splits.
    """
    from dataclasses import asdict

    from tqdm import tqdm

    from bothways.cli.print_candidates import print_candidates
    from bothways.data.open import open_dataset
    from bothways.model_selection.compare import compare as run_rounds
    from bothways.recipes import parse_choices, parse_settings

    use_threads(threads)
    dataset = open_dataset(source, options)
    with tqdm(total=rounds, unit=" rounds", disable=None, leave=False) as bar:

        def show(number: int) -> None:
            bar.update(number - bar.n)

        comparison = run_rounds(
            dataset,
            recipe,
            parse_choices(vary or []),
            rounds=rounds,
            on_round=show,
            **parse_settings(settings or []),
        )
    if as_json:
        print(json.dumps(asdict(comparison), indent=2))
    else:
        print_candidates(comparison)


@command(
    "bench",
    """\
  bothways bench --warm
  bothways bench
  bothways bench --cell gru --hidden 256 --time 100
  bothways bench --distributed
""",
)
def bench(
    cell: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="rnn, gru or lstm.",
            autocompletion=complete_choice("cell"),
            rich_help_panel=_SHAPE,
        ),
    ] = "lstm",
    hidden: Annotated[int, _size("Hidden units per direction.")] = 128,
    layers: Annotated[int, _size("Layers.")] = 2,
    batch: Annotated[int, _size("Sequences in a batch.")] = 64,
    time: Annotated[int, _size("Time steps of a sequence.")] = 28,
    input_size: Annotated[int, _size("Features of a time step.", "--input")] = 28,
    forward: Annotated[
        bool, typer.Option("--forward", help="Forward direction only.", rich_help_panel=_SHAPE)
    ] = False,
    last: Annotated[
        bool,
        typer.Option(
            "--last",
            help="Compute the last output only, as for readout last.",
            rich_help_panel=_SHAPE,
        ),
    ] = False,
    precision: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Number format of the engine's products: float32 or bfloat16.",
            rich_help_panel=_SHAPE,
        ),
    ] = "float32",
    warm: Annotated[
        bool,
        typer.Option(
            "--warm", help="Only compile the engine, before its first use.", rich_help_panel=RUN
        ),
    ] = False,
    distributed: Annotated[
        bool,
        typer.Option(
            "--distributed",
            help="Compare training steps in 1 and 2 processes instead.",
            rich_help_panel=RUN,
        ),
    ] = False,
    rounds: Annotated[
        int,
        typer.Option(metavar="N", min=1, help="Processes per side.", rich_help_panel=RUN),
    ] = 3,
    as_json: AsJson = False,
    threads: Threads = None,
) -> None:
    """Compare the speed of the engine with torch.nn."""
    import torch

    from bothways.cli.bench import BenchShape, compare
    from bothways.cli.bench import warm as compile_all
    from bothways.cli.bench_processes import measure_scaling
    from bothways.cli.print_metrics import print_comparison, print_scaling
    from bothways.kernels.backends import check_precision

    check_precision(precision, "auto", torch.device("cpu"), torch.float32)
    if warm:
        for mode, place in compile_all(precision).items():
            print(f"{mode}: {place if place.exists() else 'compiled, but not saved on disk'}")
        return
    shape = BenchShape(cell, hidden, layers, batch, time, input_size, not forward, last, precision)
    if distributed:
        scaling = {str(n): value for n, value in measure_scaling(shape, rounds).items()}
        if as_json:
            print(json.dumps(scaling, indent=2))
        else:
            print_scaling(scaling)
        return
    threads = threads or torch.get_num_threads()
    milliseconds = compare(shape, threads, rounds)
    if as_json:
        print(json.dumps(milliseconds, indent=2))
    else:
        print(shape.describe(threads))
        print_comparison(milliseconds)
