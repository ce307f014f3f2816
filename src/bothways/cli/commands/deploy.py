"""Use a trained model outside of bothways: export, serve."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from bothways.cli.app import RUN, Model, Threads, command, use_threads
from bothways.cli.process import keep_objects
from bothways.errors import ConfigError

Weights = Literal["float32", "int8"]
_ACCESS = "Access"


def _limit(metavar: str, help: str, *, default: str, least: float = 1) -> Any:
    """Return an option that limits requests; `default` describes that of `bothways.serve`."""
    return typer.Option(
        metavar=metavar, min=least, help=help, show_default=default, rich_help_panel="Limits"
    )


@command(
    "export",
    """\
  bothways export runs/0001 --to model.onnx
  bothways export runs/0001 --to small.onnx --quantize
  bothways export runs/0001 --to model.c
""",
)
def export(
    model: Model,
    to: Annotated[Path, typer.Option(metavar="FILE", help="A new .onnx or .c file.")],
    weights: Annotated[
        Weights | None,
        typer.Option(
            metavar="float32|int8",
            help="Storage; int8 takes a quarter of the space.",
            show_default="float32",
        ),
    ] = None,
    quantize: Annotated[bool, typer.Option("--quantize", help="Same as --weights int8.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
    threads: Threads = None,
) -> None:
    """Export a model to a file that runs without bothways.

    The file is compared with the model on random sequences before it is written.
    """
    from bothways.cli.tables import print_facts
    from bothways.export.formats import ExportRequest
    from bothways.export.formats import export as write

    use_threads(threads)
    if quantize and weights == "float32":
        raise ConfigError(
            "--quantize was given with --weights float32; expected one of them. Omit the other."
        )
    exported = write(ExportRequest(model, to, "int8" if quantize else weights or "float32", force))
    print_facts(exported.facts())
    print(f"\n{exported.next_step}")


@command(
    "serve",
    """\
  bothways serve runs/0001
  bothways serve runs/0001 --host 0.0.0.0 --token-file token.txt
  curl -d '{"sequence": [[0.1, 0.2], [0.3, 0.4]]}' \\
       -H 'Content-Type: application/json' http://127.0.0.1:8000/predict
""",
)
def serve(
    model: Model,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Listen there.", rich_help_panel=_ACCESS)
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(
            metavar="N", min=0, max=65535, help="0 is any free one.", rich_help_panel=_ACCESS
        ),
    ] = 8000,
    token_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Contains a token that requests need.", rich_help_panel=_ACCESS
        ),
    ] = None,
    insecure: Annotated[
        bool,
        typer.Option(
            "--insecure", help="Serve other machines without a token.", rich_help_panel=_ACCESS
        ),
    ] = False,
    max_mb: Annotated[
        float | None,
        _limit("MB", "Size of a request in MiB.", default="8", least=0.001),
    ] = None,
    max_sequences: Annotated[
        int | None, _limit("N", "Sequences in a request.", default="1,000")
    ] = None,
    max_steps: Annotated[
        int | None, _limit("N", "Time steps in a request.", default="100,000")
    ] = None,
    max_seconds: Annotated[
        float | None, _limit("SECONDS", "Time for an answer.", default="30", least=0.001)
    ] = None,
    max_queue: Annotated[int | None, _limit("N", "Requests in progress.", default="256")] = None,
    examples: Annotated[
        bool | None,
        typer.Option(
            "--examples/--no-examples",
            help="Show sequences of the data on the page.",
            show_default="unless --insecure",
            rich_help_panel=RUN,
        ),
    ] = None,
    threads: Annotated[
        int, typer.Option(metavar="N", min=1, help="CPU threads.", rich_help_panel=RUN)
    ] = 1,
) -> None:
    """Serve a page to try a model, and an HTTP API for programs.

    The page is at /, the API is described at /docs. Concurrent requests run together.
    """
    from bothways.models.loading import load
    from bothways.serve import Limits
    from bothways.serve import serve as run
    from bothways.serve.access import read_token
    from bothways.serve.page.examples import RunExamples

    def ready(url: str) -> None:
        keep_objects()
        print(f"ready: {url} (Ctrl-C stops)", flush=True)

    chosen = {
        "body_bytes": None if max_mb is None else int(max_mb * (1 << 20)),
        "sequences": max_sequences,
        "steps": max_steps,
        "seconds": max_seconds,
        "queue": max_queue,
    }
    with_examples = not insecure if examples is None else examples
    trained = load(model)
    run(
        trained,
        host=host,
        port=port,
        token=None if token_file is None else read_token(token_file),
        insecure=insecure,
        limits=Limits(**{name: value for name, value in chosen.items() if value is not None}),
        threads=threads,
        examples=RunExamples(Path(model), trained) if with_examples else None,
        on_ready=ready,
    )
