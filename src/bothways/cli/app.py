"""The command-line application, and what its commands share."""

from typing import Annotated

import typer

from bothways.cli.completion import complete_choice, complete_setting
from bothways.cli.errors import OneLineErrors, registrar

app = typer.Typer(
    cls=OneLineErrors,
    name="bothways",
    help="Train, evaluate and use recurrent classifiers of sequences.",
    epilog="""\
Exit codes
  0    done
  1    the output pipe was closed early
  2    bad input or settings; one line on standard error says what
  3    training stopped because the loss was not finite
  130  interrupted (Ctrl-C); the training so far is saved
""",
    options_metavar="",
    subcommand_metavar="COMMAND [OPTIONS]",
    invoke_without_command=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

RUN = "Run"
MODEL = "Model and training"
"""Titles of options in the help of commands."""

Threads = Annotated[
    int | None,
    typer.Option(
        metavar="N", min=1, help="CPU threads.", show_default="automatic", rich_help_panel=RUN
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.", rich_help_panel=RUN)]
Model = Annotated[
    str,  # a Path would change hf:// to hf:/
    typer.Argument(metavar="MODEL", help="Run or model folder, .onnx file, or hf://owner/name."),
]
Device = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="cpu, cuda, mps, or auto: a GPU, if any.",
        autocompletion=complete_choice("device"),
        rich_help_panel=RUN,
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Change a setting; see: bothways settings.",
        autocompletion=complete_setting,
        rich_help_panel=MODEL,
    ),
]

command = registrar(app)

_WELCOME = """\
bothways trains recurrent classifiers for sequences, forward or bidirectional.

Try this:
  bothways train mnist          learn to read digits, in about a minute
  bothways evaluate runs/0001   see how accurate it is, for each digit
  bothways serve runs/0001      draw digits on a page in your browser

Your own data:
  bothways inspect FILE         what it contains, and what would spoil a model
  bothways train --help         formats, columns, splits

All commands:   bothways --help
Documentation:  README.md and docs/ in the source code (as a site: make docs)"""


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
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    if version:
        import bothways

        print(f"bothways {bothways.__version__}")
        raise typer.Exit(0)
    if context.invoked_subcommand is None:
        print(_WELCOME)
