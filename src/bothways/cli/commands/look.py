"""Look at data, runs and models: inspect, report, recipes, settings, convert."""

from pathlib import Path
from typing import Annotated

import typer

from bothways.cli.app import command
from bothways.cli.completion import (
    choices,
    complete_choice,
    complete_recipe,
    complete_setting_name,
)
from bothways.cli.data_options import reads_data
from bothways.data.options import SPLITS, DataOptions
from bothways.errors import ConfigError


@command(
    "inspect",
    """\
  bothways inspect mnist
  bothways inspect walks.csv --sequence walk --label gait --group person
  bothways inspect runs/0001
  bothways inspect model.onnx
  bothways inspect hf://owner/name
""",
)
@reads_data
def inspect(
    what: Annotated[
        str,
        typer.Argument(
            metavar="WHAT",
            help="Data as for train; a run or model folder, .onnx file or hf://owner/name; or the "
            "checkpoint of a notebook.",
        ),
    ],
    options: DataOptions,  # see reads_data
    validation: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="The validation set.", rich_help_panel=SPLITS),
    ] = None,
) -> None:
    """Describe data, a run or a model, and warn of problems in the data."""
    from bothways.cli.print_data import print_dataset
    from bothways.cli.print_models import print_checkpoint, print_exported, print_model
    from bothways.data.open import open_dataset
    from bothways.models.checkpoint import is_model_folder
    from bothways.models.convert import read_weights
    from bothways.models.hub import is_address
    from bothways.models.loading import load
    from bothways.training.run_directory import RunFolder

    path = Path(what)
    if is_address(what):
        print_model(load(what), "a model on the hub")
    elif is_model_folder(path):
        run = RunFolder(path)
        print_model(load(path), run.describe_status(), run.describe_taken())
    elif path.suffix == ".onnx":
        print_exported(load(path).manifest)
    elif path.suffix in (".ckpt", ".pt", ".pth"):
        print_checkpoint(read_weights(path))
    else:
        parts = {"validation": validation}
        print_dataset(open_dataset(what, options.model_copy(update=parts)))


@command(
    "report",
    """\
  bothways report runs/0001
  bothways report runs/0001 runs/0002
""",
)
def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN", help="One run, or several.")],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="An HTML file.",
            show_default="RUN/report.html, or comparison-RUN-RUN.html",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace --out.")] = False,
) -> None:
    """Write an HTML report of a run, or of several side by side.

    The data of the run are read again, to show predictions for single sequences.
    """
    from bothways.report import write_comparison, write_report

    if len(runs) == 1:
        print(f"report: {write_report(runs[0], out=out, force=force)}")
    else:
        print(f"report: {write_comparison(runs, out, force=force)}")


@command(
    "recipes",
    """\
  bothways recipes
  bothways recipes time-series
""",
)
def recipes(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="Print its settings.", autocompletion=complete_recipe),
    ] = None,
) -> None:
    """List the recipes and the published results, or print one as TOML."""
    from bothways.cli.print_models import print_recipes
    from bothways.recipes import all_recipes, recipe_text

    if name is None:
        print_recipes(all_recipes())
    else:
        print(recipe_text(name), end="")


@command(
    "settings",
    """\
  bothways settings
  bothways settings learning_rate
""",
)
def settings(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME", help="Print this one only.", autocompletion=complete_setting_name
        ),
    ] = None,
) -> None:
    """List the settings of train and compare: meaning, values and defaults.

    --set NAME=VALUE changes a setting of the recipe.
    """
    from bothways.cli.print_models import print_settings

    print_settings(name)


@command(
    "convert",
    """\
  bothways convert model.ckpt --readout last --out my-model
  bothways convert flat.ckpt --out my-model
""",
)
def convert(
    checkpoint: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="Written by torch.save(model.state_dict(), …)."),
    ],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="New model folder.")],
    readout: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="last, final, mean or max, if the shapes do not tell.",
            autocompletion=choices("last", "final", "mean", "max"),
        ),
    ] = None,
    nonlinearity: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="tanh or relu, for an RNN.",
            autocompletion=complete_choice("nonlinearity"),
        ),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="Names of the classes (a,b).", show_default="0,1,2…"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a model at --out.")] = False,
) -> None:
    """Convert a checkpoint of a notebook to a model folder.

    The checkpoint has weights named lstm.* and fc.*; no code in it is executed.
    """
    from bothways.models.convert import convert as read
    from bothways.training.run_directory import RunFolder, holds_run_or_model

    model = read(
        checkpoint,
        readout=readout,
        nonlinearity=nonlinearity,
        classes=None if classes is None else classes.split(","),
    )
    if out.exists() and not force:
        raise ConfigError(
            f"out folder {out} exists; expected a new one. Choose another, or replace it with "
            "--force."
        )
    if out.exists() and (RunFolder(out).request.exists() or not holds_run_or_model(out)):
        raise ConfigError(
            f"out folder {out} is not a model without a run, so --force does not replace it. "
            "Choose another folder."
        )
    model.save(out)
    print(f"saved in {out}; to inspect it, run: bothways inspect {out}")
