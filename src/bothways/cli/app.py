"""The command-line application, and what its commands share."""

from typing import Annotated

import typer

from bothways.cli.errors import OneLineErrors, registrar

app = typer.Typer(
    cls=OneLineErrors,
    name="bothways",
    help="Recurrent sequence classifiers: train, evaluate, predict, on an ordinary CPU.",
    epilog="""\b
Exit codes
  0    done
  1    the output pipe was closed early
  2    bad input or settings; one line on standard error says what
  3    training stopped because the loss was not finite
  130  interrupted (Ctrl-C); the training so far is saved
""",
    no_args_is_help=True,
    invoke_without_command=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads; default: torch's choice.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Model = Annotated[
    str,  # a Path would change hf:// to hf:/
    typer.Argument(metavar="MODEL", help="Run or model folder, .onnx file, or hf://owner/name."),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps; auto prefers a GPU.")]


command = registrar(app)


def use_threads(count: int | None) -> None:
    """Set the number of torch's threads, unless it is None."""
    if count is not None:
        import torch

        torch.set_num_threads(count)


def given_options(context: typer.Context) -> dict[str, str]:
    """Return the flags of the options that the user has given, by the name of the parameter."""
    return {
        name: parameter.opts[0]
        for parameter in context.command.params
        if parameter.param_type_name == "option"
        and (name := parameter.name)
        and _is_given(context, name)
    }


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    if version:
        import bothways

        print(f"bothways {bothways.__version__}")
        raise typer.Exit(0)
