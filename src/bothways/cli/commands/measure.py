"""Compare models, and the speed of the engine."""

import json
from typing import Annotated

import typer

from bothways.cli.app import AsJson, Threads, command, use_threads
from bothways.cli.data_options import reads_data
from bothways.data.options import DataOptions


@command(
    "compare",
    """\
  bothways compare waves.csv --label class
  bothways compare waves.csv --vary cell=lstm,gru,rnn --vary readout=final,mean --rounds 10
""",
)
@reads_data
def compare(
    source: Annotated[str, typer.Argument(metavar="DATA", help="As for train.")],
    options: DataOptions,  # see reads_data
    recipe: Annotated[str, typer.Option(help="One of: bothways recipes.")] = "time-series",
    vary: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=A,B",
            help="Values of a setting to compare, in all combinations; default: "
            "bidirectional=true,false.",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Change a setting of the recipe."),
    ] = None,
    rounds: Annotated[int, typer.Option(min=2, help="Number of splits and seeds.")] = 5,
    as_json: AsJson = False,
    threads: Threads = None,
) -> None:
    """Compare recurrent networks with simple baselines.

    The output says which is better, also of bidirectional and forward networks. Everything is
    evaluated on parts of the training data; the test part is not used. The best of several
    candidates is measured on sequences that did not select it.
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
  bothways bench --cell gru --hidden 256 --batch 32 --time 100 --input 12 --all-outputs
""",
)
def bench(
    warm: Annotated[
        bool, typer.Option("--warm", help="Only compile the engine, before its first use.")
    ] = False,
    cell: Annotated[str, typer.Option(help="rnn, gru or lstm.")] = "lstm",
    hidden: Annotated[int, typer.Option(help="Hidden units per direction.")] = 128,
    layers: Annotated[int, typer.Option(help="Layers.")] = 2,
    batch: Annotated[int, typer.Option(help="Sequences in a batch.")] = 64,
    time: Annotated[int, typer.Option(help="Time steps of a sequence.")] = 28,
    input_size: Annotated[int, typer.Option("--input", help="Features of a time step.")] = 28,
    forward: Annotated[bool, typer.Option("--forward", help="Forward direction only.")] = False,
    all_outputs: Annotated[
        bool, typer.Option("--all-outputs", help="Compute all outputs instead of the last one.")
    ] = False,
    rounds: Annotated[int, typer.Option(min=1, help="Processes per side; the median counts.")] = 3,
    as_json: AsJson = False,
    threads: Threads = None,
) -> None:
    """Compare the speed of the engine with torch.nn."""
    import torch

    from bothways.cli.bench import BenchShape, compare
    from bothways.cli.bench import warm as compile_all
    from bothways.cli.print_metrics import print_comparison

    if warm:
        for mode, place in compile_all().items():
            print(f"{mode}: {place if place.exists() else 'compiled, but not saved on disk'}")
        return
    shape = BenchShape(
        cell, hidden, layers, batch, time, input_size, not forward, last=not all_outputs
    )
    milliseconds = compare(shape, threads or torch.get_num_threads(), rounds)
    if as_json:
        print(json.dumps(milliseconds, indent=2))
    else:
        print_comparison(milliseconds)
