"""Use a trained model outside of bothways: export, serve."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from bothways.cli.app import Model, Threads, command, use_threads
from bothways.cli.process import keep_objects
from bothways.errors import ConfigError

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
    model: Model,
    to: Annotated[Path, typer.Option(metavar="FILE", help="A new .onnx or .c file.")],
    weights: Annotated[
        Weights | None,
        typer.Option(
            help="How weights are stored; int8 takes a quarter of the space. Default: float32."
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
  curl -d '{"sequence": [[0.1, 0.2], [0.3, 0.4]]}' -H 'Content-Type: application/json' \\
       http://127.0.0.1:8000/predict
""",
)
def serve(
    model: Model,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free port.")] = 8000,
    token_file: Annotated[
        Path | None, typer.Option(help="File with a token that requests must contain.")
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Let other machines use the model without a token.")
    ] = False,
    max_mb: Annotated[
        float | None, typer.Option(min=0.001, help="Limit of a request in MiB; default: 8.")
    ] = None,
    max_sequences: Annotated[
        int | None, typer.Option(min=1, help="Limit of sequences in a request; default: 1000.")
    ] = None,
    max_steps: Annotated[
        int | None, typer.Option(min=1, help="Limit of time steps in a request; default: 100,000.")
    ] = None,
    max_seconds: Annotated[
        float | None, typer.Option(min=0.001, help="Limit of the time for an answer; default: 30.")
    ] = None,
    max_queue: Annotated[
        int | None, typer.Option(min=1, help="Limit of requests in progress; default: 256.")
    ] = None,
    examples: Annotated[
        bool | None,
        typer.Option(
            "--examples/--no-examples",
            help="Show sequences of the data on the page; default: unless --insecure is set.",
        ),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads of the model.")] = 1,
) -> None:
    """Serve a page to try a model, and answer requests of programs to POST /predict.

    The page is at /, the paths for programs are described at /docs. Concurrent requests are run
    together.
    """
    from bothways.models.trained import load
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
