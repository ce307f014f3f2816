"""Bring a trained model to other programs: export."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from bothways.cli.app import Threads, command, use_threads

Weights = Literal["float32", "int8"]


@command(
    "export",
    """\
  bothways export runs/0001 --to model.onnx
  bothways export runs/0001 --to small.onnx --quantize
  bothways export runs/0001 --to model.c
""",
)
def export(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="Run or model folder, or hf://owner/name.")
    ],
    to: Annotated[Path, typer.Option(metavar="FILE", help="A new .onnx or .c file.")],
    weights: Annotated[
        Weights, typer.Option(help="How weights are stored; int8 takes a quarter of the space.")
    ] = "float32",
    quantize: Annotated[bool, typer.Option("--quantize", help="Same as --weights int8.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
    threads: Threads = None,
) -> None:
    """Export a model to a file that runs without bothways.

    The file is compared with the model on random sequences before it is written.
    """
    from bothways.cli.tables import print_facts
    from bothways.export.formats import Request
    from bothways.export.formats import export as write

    use_threads(threads)
    exported = write(Request(model, to, "int8" if quantize else weights, force))
    print_facts(exported.facts())
    print(f"\n{exported.next_step}")
