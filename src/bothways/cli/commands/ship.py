"""Bring a trained model to other programs: export."""

from pathlib import Path
from typing import Annotated

import typer

from bothways.cli.app import Threads, command, use_threads


@command(
    "export",
    """\
  bothways export runs/0001 --to model.onnx
  bothways export runs/0001 --to small.onnx --quantize
""",
)
def export(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Run or model folder.")],
    to: Annotated[Path, typer.Option(metavar="FILE", help="A new .onnx file.")],
    quantize: Annotated[
        bool, typer.Option("--quantize", help="Store int8 weights (LSTM only).")
    ] = False,
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
    exported = write(Request(model, to, quantize, force))
    print_facts(exported.facts())
    print(f"\n{exported.next_step}")
