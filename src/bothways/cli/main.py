"""The command line: parses, calls the library, prints."""

import functools
import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from bothways.cli.data_options import fraction_or_file, reads_data
from bothways.cli.errors import OneLineErrors, command, stop_on_signal
from bothways.data.options import DataOptions
from bothways.errors import ConfigError

app = typer.Typer(
    cls=OneLineErrors,
    name="bothways",
    help="Recurrent sequence classifiers: train, evaluate, predict, on an ordinary CPU.",
    epilog="""\b
Exit codes
  0    done
  1    whoever read the output went away before its end
  2    bad input or settings; one line on standard error says what
  3    training stopped: the loss was not finite
  130  interrupted (Ctrl-C); what was trained is saved
""",
    no_args_is_help=True,
    invoke_without_command=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

Threads = Annotated[
    int | None, typer.Option(min=1, help="CPU threads; as many as torch chooses where not given.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
Model = Annotated[Path, typer.Argument(metavar="MODEL", help="Folder of a run or a model.")]


_command = functools.partial(command, app)


def main() -> None:
    """Run the command line."""
    app()


def _use_threads(count: int | None) -> None:
    if count is not None:
        import torch

        torch.set_num_threads(count)


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    if version:
        import bothways

        print(f"bothways {bothways.__version__}")
        raise typer.Exit(0)


@_command(
    "train",
    """\
  bothways train mnist
  bothways train mnist --recipe birnn-128 --seed 3
  bothways train mnist --recipe lstm-last --set readout=flatten --out runs/flat
  bothways train gestures.npz --test 0.2 --validation 0.1
  bothways train steps.parquet --sequence session --time t --label activity --group subject
  bothways train steps.parquet --label activity --target step --window 512 --test 0.2
  bothways train events.csv --sequence case --categorical event,page --label outcome
  bothways train runs/flat --resume
""",
)
@reads_data
def train(
    source: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="mnist; a .csv, .parquet, .ts, .jsonl, .npz or .npy file (X.npy with X_labels.npy "
            "beside it); IDX images; a folder of files a class; with --resume, a run's folder.",
        ),
    ],
    options: DataOptions,  # see reads_data
    recipe: Annotated[
        str | None,
        typer.Option(help="See: bothways recipes. default for mnist, else time-series."),
    ] = None,
    validation: Annotated[
        str | None, typer.Option(help="Fraction to hold out for choosing the epoch, or a file.")
    ] = None,
    missing: Annotated[
        str | None, typer.Option(help="What NaN becomes: refuse, mean, zero or mask.")
    ] = None,
    calibrated: Annotated[
        bool,
        typer.Option("--calibrate", help="Fit a temperature to the probabilities on validation."),
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Replace a setting of the recipe."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Same as --set seed=N.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="The run's folder; a new runs/NNNN where not given.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the run at --out.")] = False,
    continue_run: Annotated[
        bool, typer.Option("--resume", help="Go on with a run, as if never stopped.")
    ] = False,
    device: Annotated[
        str | None, typer.Option(help="auto, cpu, cuda or mps; same as --set device=NAME.")
    ] = None,
    threads: Threads = None,
) -> None:
    """Train a classifier, then evaluate it; Ctrl-C or SIGTERM saves, --resume goes on."""
    from bothways.cli.tables import print_run
    from bothways.recipes import parse_settings
    from bothways.training.history import read_history
    from bothways.training.run import resume
    from bothways.training.run import train as start
    from bothways.training.run_directory import RunFolder

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
    options = options.model_copy(update={"validation": validation_file})
    if continue_run:
        if chosen or out or force or threads or recipe or options != type(options)():
            raise ConfigError(
                "--resume was given with other settings; expected none: a run goes on with those "
                "it was started with. Leave them out."
            )
        folder = RunFolder(Path(source))
        _use_threads(folder.read_request().threads)
        was_finished = folder.metrics.exists()
        with stop_on_signal() as should_stop:
            run = resume(folder.path, should_stop=should_stop)
        if was_finished:
            print(f"{folder.path} is finished; nothing was changed.")
    else:
        _use_threads(threads)
        with stop_on_signal() as should_stop:
            run = start(
                source,
                recipe,
                options=options,
                out=out,
                force=force,
                should_stop=should_stop,
                **chosen,
            )
    print_run(read_history(RunFolder(run.folder).history), run.metrics)
    print(f"\nsaved in {run.folder}; use it: bothways predict {run.folder} FILE")


@_command(
    "evaluate",
    """\
  bothways evaluate runs/0001
  bothways evaluate runs/0001 mnist --split test
  bothways evaluate runs/0001 mnist --json > metrics.json
""",
)
def evaluate(
    model: Model,
    source: Annotated[
        str | None,
        typer.Argument(metavar="DATA", help="As of train; a run's own where not given."),
    ] = None,
    split: Annotated[
        str,
        typer.Option(
            help="train, validation, test, data (other data than its own, in one part) or all."
        ),
    ] = "all",
    as_json: AsJson = False,
    threads: Threads = None,
) -> None:
    """Measure a model on labelled data: accuracy, per class, confusion, calibration."""
    from bothways.cli.tables import print_metrics
    from bothways.models.trained import load
    from bothways.training.run_evaluation import evaluate_splits

    _use_threads(threads)
    metrics = evaluate_splits(load(model), model, source, split)
    if as_json:
        print(json.dumps(metrics, indent=2))
    else:
        for name, figures in metrics.items():
            if figures is not None:
                print_metrics(name, figures)


@_command(
    "predict",
    """\
  bothways predict runs/0001 new.npz --out predictions.csv
  bothways predict runs/0001 t10k-images-idx3-ubyte.gz --out predictions.jsonl
  bothways predict runs/0001 three.png seven.jpg
""",
)
def predict(
    model: Model,
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE",
            help=".csv, .parquet, .ts, .jsonl, IDX (.gz too), .npy, .npz, PNG or JPEG files.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="A .csv or .jsonl file; - for standard output.")] = Path(
        "-"
    ),
    format: Annotated[
        str | None, typer.Option(help="csv or jsonl; as --out ends where not given.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace --out.")] = False,
    threads: Threads = None,
) -> None:
    """Say the class of each sequence, or of its steps; files may be larger than memory.

    CSV has a row a sequence, or, where steps are labelled, a row a segment of one label; JSON lines
    have the label of each step too.
    """
    from tqdm import tqdm

    from bothways.models.predict_files import (
        format_of,
        predict_files,
        prediction_file,
        write_answers,
    )
    from bothways.models.trained import load

    _use_threads(threads)
    to_stdout = str(out) == "-"
    chosen = format_of(None if to_stdout else out, format)
    trained = load(model)

    def note(text: str) -> None:
        tqdm.write(text, file=sys.stderr)

    answers = tqdm(
        predict_files(trained, sources, note), unit=" sequences", disable=None, leave=False
    )
    if to_stdout:
        write_answers(answers, sys.stdout, chosen)
    else:
        with prediction_file(out, force) as file:
            count = write_answers(answers, file, chosen)
        print(f"{count} predictions in {out}", file=sys.stderr)


@_command(
    "inspect",
    """\
  bothways inspect runs/0001
  bothways inspect mnist
  bothways inspect steps.parquet --sequence session --label activity --group subject
  bothways inspect model.ckpt
""",
)
@reads_data
def inspect(
    what: Annotated[
        str, typer.Argument(help="A run or model folder, a data set, or a notebook's checkpoint.")
    ],
    options: DataOptions,  # see reads_data
    validation: Annotated[str | None, typer.Option(help="File of the validation part.")] = None,
) -> None:
    """Say what a model, a data set or a notebook's checkpoint is."""
    from bothways.cli.tables import print_checkpoint, print_dataset, print_model
    from bothways.data.open import open_dataset
    from bothways.models.checkpoint import is_model_folder
    from bothways.models.convert import read_weights
    from bothways.models.trained import load
    from bothways.training.run_directory import RunFolder

    path = Path(what)
    if is_model_folder(path):
        print_model(load(path), RunFolder(path).describe_status())
    elif path.suffix in (".ckpt", ".pt", ".pth"):
        print_checkpoint(read_weights(path))
    else:
        parts = {"validation": validation}
        print_dataset(open_dataset(what, options.model_copy(update=parts)))


@_command(
    "compare",
    """\
  bothways compare waves.csv --label class
  bothways compare waves.csv --vary cell=lstm,gru,rnn --vary readout=final,mean --rounds 10
""",
)
@reads_data
def compare(
    source: Annotated[str, typer.Argument(metavar="DATA", help="As of train.")],
    options: DataOptions,  # see reads_data
    recipe: Annotated[str, typer.Option(help="See: bothways recipes.")] = "time-series",
    vary: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=A,B",
            help="Values of a setting to try; all combinations; bidirectional=true,false if none.",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Replace a setting of the recipe."),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Splits and seeds to average over.")] = 5,
    as_json: AsJson = False,
    threads: Threads = None,
) -> None:
    """Hold recurrent nets against simple baselines, and reading both ways against forward.

    Judged on parts of the training data; the test part is not looked at.
    """
    from dataclasses import asdict

    from tqdm import tqdm

    from bothways.cli.tables import print_candidates
    from bothways.data.open import open_dataset
    from bothways.model_selection.compare import compare as run_rounds
    from bothways.recipes import parse_choices, parse_settings

    _use_threads(threads)
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


@_command(
    "convert",
    """\
  bothways convert model.ckpt --readout last --out my-model
  bothways convert flat.ckpt --out my-model
""",
)
def convert(
    checkpoint: Annotated[
        Path, typer.Argument(help="What torch.save(model.state_dict(), …) wrote.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the new model.")],
    readout: Annotated[
        str | None, typer.Option(help="last, final, mean or max, where shapes cannot tell.")
    ] = None,
    nonlinearity: Annotated[str | None, typer.Option(help="tanh or relu, for an RNN.")] = None,
    classes: Annotated[
        str | None, typer.Option(help="Names, with commas between; 0,1,2,… where not given.")
    ] = None,
) -> None:
    """Make a model folder of a notebook's checkpoint (lstm.*, fc.*); no code in it is run."""
    from bothways.models.convert import convert as read

    model = read(
        checkpoint,
        readout=readout,
        nonlinearity=nonlinearity,
        classes=None if classes is None else classes.split(","),
    )
    if out.exists():
        raise ConfigError(f"out folder {out} exists; expected a new one. Choose another.")
    model.save(out)
    print(f"saved in {out}; look at it: bothways inspect {out}")


@_command("recipes", "  bothways recipes\n")
def recipes() -> None:
    """List the recipes, with what the authors of the published ones reported."""
    from bothways.cli.tables import print_recipes
    from bothways.recipes import all_recipes

    print_recipes(all_recipes())


@_command(
    "bench",
    """\
  bothways bench --warm
  bothways bench
  bothways bench --cell gru --hidden 256 --batch 32 --time 100 --input 12 --all-outputs
""",
)
def bench(
    warm: Annotated[
        bool, typer.Option("--warm", help="Only compile the engine, ahead of its first use.")
    ] = False,
    cell: Annotated[str, typer.Option(help="rnn, gru or lstm.")] = "lstm",
    hidden: Annotated[int, typer.Option(help="Hidden units of a direction.")] = 128,
    layers: Annotated[int, typer.Option(help="Layers.")] = 2,
    batch: Annotated[int, typer.Option(help="Sequences in a batch.")] = 64,
    time: Annotated[int, typer.Option(help="Steps of a sequence.")] = 28,
    input_size: Annotated[int, typer.Option("--input", help="Features a step.")] = 28,
    forward: Annotated[bool, typer.Option("--forward", help="Read forward only.")] = False,
    all_outputs: Annotated[
        bool, typer.Option("--all-outputs", help="Ask for all outputs, not the last one.")
    ] = False,
    rounds: Annotated[int, typer.Option(min=1, help="Processes a side; the median counts.")] = 3,
    as_json: AsJson = False,
    threads: Threads = None,
) -> None:
    """Time the compiled engine against torch.nn on this machine."""
    import torch

    from bothways.cli.bench import BenchShape, compare
    from bothways.cli.bench import warm as compile_all
    from bothways.cli.tables import print_comparison

    if warm:
        for mode, place in compile_all().items():
            print(f"{mode}: {place if place.exists() else 'compiled, but not kept on disk'}")
        return
    shape = BenchShape(
        cell, hidden, layers, batch, time, input_size, not forward, last=not all_outputs
    )
    milliseconds = compare(shape, threads or torch.get_num_threads(), rounds)
    if as_json:
        print(json.dumps(milliseconds, indent=2))
    else:
        print_comparison(milliseconds)
