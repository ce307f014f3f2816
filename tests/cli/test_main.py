"""The command line: what it prints, where, and how it exits."""

import csv
import io
import json
import re
import shlex
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import invoke, refuse, run_command, succeed
from PIL import Image
from random_models import random_model

from bothways.config import Architecture, TrainConfig
from bothways.nn.classifier import SequenceClassifier
from bothways.recipes import all_recipes
from bothways.training.history import read_history

SMALL = [
    "--recipe=birnn-128",
    "--set=readout=final",
    "--threads=1",
    *(f"--set={name}" for name in ("cell=gru", "hidden_size=8", "num_layers=1", "batch_size=8")),
    *(f"--set={name}" for name in ("epochs=2", "schedule=constant", "learning_rate=0.05")),
    "--set=validation_fraction=0",
]


def gestures(names=(0, 1, 2), **changes):
    """Return labeled arrays: ragged noise, higher in the feature of its class."""
    random = np.random.default_rng(0)
    labels = np.arange(60) % 3
    lengths = random.integers(4, 9, 60)
    inputs = random.normal(0, 0.1, (60, 8, 3)).astype(np.float32)
    inputs[np.arange(60), :, labels] += 0.5
    inputs[np.arange(8) >= lengths[:, None]] = 0
    arrays = {"inputs": inputs, "lengths": lengths, "labels": np.array(list(names))[labels]}
    test = {f"test_{name}": array[:12] for name, array in arrays.items()}
    return {**arrays, **test, **changes}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return a working folder that contains only `gestures.npz`."""
    np.savez(tmp_path / "gestures.npz", **gestures())
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Return the folder of a finished run, next to its data, for tests that only read it."""
    folder = tmp_path_factory.mktemp("finished")
    np.savez(folder / "gestures.npz", **gestures())
    run = folder / "run"
    succeed("train", folder / "gestures.npz", "--out", run, *SMALL)
    return run


def snapshot(folder):
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_from_data_to_predictions_with_the_real_command(folder):
    np.savez("new.npz", inputs=200 * gestures()["inputs"].repeat(20, axis=0))
    notebook = torch.nn.ModuleDict({"lstm": torch.nn.LSTM(3, 4), "fc": torch.nn.Linear(32, 3)})
    torch.save(notebook.state_dict(), "flat.ckpt")

    trained = run_command("train", "gestures.npz", *SMALL, "--set=epochs=8")
    assert (trained.returncode, trained.stderr) == (0, "")
    assert "Epoch [1/8], Step [8/8], Loss: " in trained.stdout
    assert "test:       Got 12 / 12 with accuracy 100.00\n" in trained.stdout
    assert "saved in runs/0001; to use it, run: bothways predict runs/0001 FILE" in trained.stdout

    evaluated = run_command("evaluate", "runs/0001")
    assert (evaluated.returncode, evaluated.stderr) == (0, "")
    assert "test: Got 12 / 12 with accuracy 100.00\n" in evaluated.stdout

    predicted = run_command("predict", "runs/0001", "new.npz")
    assert predicted.returncode == 0
    assert [row["sequence"] for row in rows_of(predicted.stdout)] == [str(n) for n in range(1200)]
    (warning,) = predicted.stderr.splitlines()  # one, though there are two pieces
    assert re.match("bothways: warning: inputs range from .*, but those in training from", warning)

    inspected = run_command("inspect", "runs/0001")
    assert (inspected.returncode, inspected.stderr) == (0, "")
    assert "finished; accuracy: train 100.00%, test 100.00%" in inspected.stdout

    converted = run_command("convert", "flat.ckpt", "--out", "flat")
    assert (converted.returncode, converted.stderr) == (0, "")
    assert converted.stdout == "saved in flat; to inspect it, run: bothways inspect flat\n"


def test_a_user_error_in_a_new_interpreter(folder):
    command = [sys.executable, "-m", "bothways", "train", "none.npz"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("bothways: data 'none.npz' is not found; expected mnist, or a")
    assert result.stderr.count("\n") == 1


def test_interrupt_and_resume_with_the_real_command(folder):
    command = [sys.executable, "-m", "bothways", "train", "gestures.npz", *SMALL]
    command += ["--set=epochs=30", "--set=log_every=1"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        pipesize=4096,  # holds less than training prints, so training cannot end before the signal
    ) as process:
        process.stdout.readline()
        process.stdout.readline()  # the first line has been written to the history by now
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in stderr
    assert not (folder / "runs/0001/metrics.json").exists()
    *_, last = stderr.splitlines()
    told = re.fullmatch(
        r"bothways: stopped in epoch (\d+) after step (\d+); everything is saved. "
        r"To continue, run: (.*)",
        last,
    )
    assert 0 < 8 * (int(told[1]) - 1) + int(told[2]) < 30 * 8
    assert read_history(folder / "runs/0001/history.jsonl")

    program, *arguments = shlex.split(told[3])
    resumed = run_command(*arguments)
    assert (program, resumed.returncode, resumed.stderr) == ("bothways", 0, "")
    kinds = [line["kind"] for line in read_history(folder / "runs/0001/history.jsonl")]
    assert kinds.count("start") == 2
    trained = [kind for kind in kinds if kind != "start"]
    assert trained == 30 * (8 * ["step"] + ["epoch"])
    assert (folder / "runs/0001/metrics.json").exists()


def test_recipes_are_listed_with_their_published_accuracies():
    table = succeed("recipes").stdout
    lines = {line.split()[0]: line for line in table.splitlines() if line.split()}
    assert [name for name in lines if name in {recipe.name for recipe in all_recipes()}] == [
        "best",
        "default",
        "fast",
        "quick",
        "time-series",
        "bilstm-last",
        "lstm-flatten",
        "birnn-128",
        "lstm-last",
        "bilstm-12-flatten",
    ]
    published = {name: line.split()[-2:] for name, line in lines.items()}
    assert published["birnn-128"] == ["-", "97.18"]
    assert published["lstm-last"] == ["97.69", "97.67"]
    assert published["bilstm-12-flatten"] == ["99.3", "98.5"]
    assert published["bilstm-last"] == published["lstm-flatten"] == ["-", "-"]


def test_one_recipe_is_printed_as_toml():
    content = tomllib.loads(succeed("recipes", "birnn-128").stdout)
    assert content["training"] == {"batch_size": 100, "learning_rate": 0.003, "epochs": 2}
    assert content["model"]["readout"] == "last"
    assert "recipe 'tme-series' is unknown; did you mean 'time-series'?" in refuse(
        "recipes", "tme-series"
    )


def test_settings_are_printed_with_their_meaning():
    assert succeed("settings", "dropout").stdout == (
        "dropout\n  float (0 ≤ dropout < 1); default: 0.0; recipe time-series: 0.2\n  Dropout "
        "probability, in training, of the outputs of all layers but the last, and of the features "
        "that enter the linear layer.\n\n"
    )
    printed = succeed("settings").stdout
    for name in (*Architecture.model_fields, *TrainConfig.model_fields):
        assert re.search(rf"^{name}\n  .+; default: .+\n  .+\n", printed, re.MULTILINE), name
    assert "setting 'lr' is unknown; did you mean 'learning_rate'?" in refuse("settings", "lr")


def test_an_option_is_no_setting_of_a_command_without_settings():
    assert refuse("evaluate", "run", "--steps", "3").startswith("No such option: --steps")


def test_each_recipe_is_one_line():
    lines = succeed("recipes").stdout.splitlines()
    for recipe in all_recipes():
        (line,) = [line for line in lines if line.split()[:1] == [recipe.name]]
        assert recipe.summary in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.npz"], "data 'none.npz' is not found; expected mnist, or a .csv"),
        (["."], "holds no .npy, .png, .jpg"),
        (["gestures.npz", "--recipe=great"], "recipe 'great' is unknown; expected one of best"),
        (["gesture.npz"], "'gesture.npz' is not found; did you mean 'gestures.npz'? Expected"),
        (["gestures.npz", "--recipe=birn-128"], "'birn-128' is unknown; did you mean 'birnn-128'"),
        (["gestures.npz", "--missing=mask?"], "missing is 'mask?'; did you mean 'mask'? Expected"),
        (["gestures.npz", "--device=cuda0"], "device is 'cuda0'; did you mean 'cuda'? Expected"),
        (
            ["gestures.npz", "--set=color=red"],
            "setting 'color' is unknown; to list all, run: bothways",
        ),
        (["gestures.npz", "--set=lr=0.1"], "'lr' is unknown; did you mean 'learning_rate'?"),
        (["gestures.npz", "--steps", "50"], "steps is a setting; use --set steps=50"),
        (["gestures.npz", "--lr=0.1"], "learning_rate is a setting; use --set learning_rate=0.1"),
        (["gestures.npz", "--units"], "hidden_size is a setting; use --set hidden_size=VALUE"),
        (
            ["gestures.npz", "--set=readout=step"],
            "readout is 'step' but gestures.npz has one label for each sequence; expected a label "
            'for each time step. Use --target step (in Python: DataOptions(target="step")), or',
        ),
        (["gestures.npz", "--set=num_classes=3"], "setting 'num_classes' is unknown; did you mean"),
        (["gestures.npz", "--set=epochs"], "setting 'epochs' has no value; expected name=value"),
        (["gestures.npz", "--set=epochs=0"], "epochs is 0; expected greater than or equal to 1"),
        (["gestures.npz", "--set=epochs=many"], "epochs is 'many'; expected a valid integer"),
        (["gestures.npz", "--set=dropout=NaN"], "dropout is nan; expected a finite number"),
        (
            ["gestures.npz", "--set=readout=first"],
            "readout 'first' is unknown; expected one of",
        ),
        (["gestures.npz", "--set=backend=fast"], "backend 'fast' is unknown; expected one of auto"),
        (["gestures.npz", "--device=abacus"], "device is 'abacus'; expected 'auto', 'cpu'"),
        (["gestures.npz", "--seed=-1"], "seed is -1; expected greater than or equal to 0"),
        (["gestures.npz", "--seed=x"], "--seed"),
        (["gestures.npz", "--threads=0"], "--threads"),
        ([], "DATA"),
    ],
)
def test_train_refuses_wrong_settings_before_it_makes_a_folder(folder, arguments, message):
    assert message in refuse("train", *arguments)
    assert [path.name for path in folder.iterdir()] == ["gestures.npz"]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            gestures(labels=np.zeros(60, int), test_labels=np.zeros(12, int)),
            "has 1 class, 0; expected at least 2",
        ),
        (gestures(inputs=np.full((60, 8, 3), np.nan)), "'feature 0' is missing at step 0"),
        (gestures(lengths=np.full(60, 9)), "is 9 but inputs has 8 steps"),
        (gestures(color=np.zeros(60)), "holds an array 'color'"),
        (
            {"inputs": np.zeros((3, 4, 1)), "labels": np.arange(3)},
            "no class has two sequences, so none can be held out for validation",
        ),
    ],
    ids=["one class", "nan", "lengths", "unknown array", "nothing to validate on"],
)
def test_invalid_data_create_no_folder(folder, arrays, message):
    np.savez("bad.npz", **arrays)
    before = set(folder.iterdir())
    line = refuse("train", "bad.npz", "--set=epochs=1", "--validation=0.2")
    assert message in line
    assert "bad.npz" in line
    assert set(folder.iterdir()) == before


def test_train_warns_of_suspicious_features_as_inspect_does(folder):
    rows = [f"{n},{step / 10},{n % 2},{n % 3}" for n in range(12) for step in range(5)]
    Path("walks.csv").write_text("\n".join(["recording,elapsed,device,gesture", *rows]))
    text = succeed("train", "walks.csv", *SMALL, "--no-report").stdout
    warnings = [line for line in text.splitlines() if line.startswith("warning: features ")]
    assert len(warnings) == 1
    assert "like a time or a row number: elapsed." in warnings[0]
    assert warnings[0] in succeed("inspect", "walks.csv").stdout


def test_runs_are_numbered(folder):
    for number in ("0001", "0002"):
        result = succeed("train", "gestures.npz", *SMALL)
        assert f"saved in runs/{number};" in result.stdout
    assert sorted(path.name for path in (folder / "runs").iterdir()) == ["0001", "0002"]


def test_out_is_replaced_only_with_force(folder):
    succeed("train", "gestures.npz", "--out=run", *SMALL)
    before = snapshot(folder)
    message = refuse("train", "gestures.npz", "--out=run", *SMALL)
    assert message.startswith("out folder run exists; expected a new one. Choose another,")
    assert snapshot(folder) == before

    succeed("train", "gestures.npz", "--out=run", "--force", "--seed=7", *SMALL)
    assert json.loads((folder / "run/metrics.json").read_bytes())["test"]["seed"] == 7
    assert {path.name for path in folder.iterdir()} == {"gestures.npz", "run"}


def test_force_keeps_the_old_run_if_the_data_are_invalid(folder):
    succeed("train", "gestures.npz", "--out=run", *SMALL)
    np.savez("bad.npz", inputs=np.ones((2, 3, 1)))
    before = snapshot(folder)
    refuse("train", "bad.npz", "--out=run", "--force", *SMALL)
    assert snapshot(folder) == before


@pytest.mark.parametrize("name", ["notes.txt", "config.json", "metrics.json"])
@pytest.mark.parametrize("content", ["{}", '{"model": "another project\'s"}', "text"])
def test_force_never_replaces_what_is_not_a_run(folder, name, content):
    (folder / "mine").mkdir()
    (folder / "mine" / name).write_text(content)
    before = snapshot(folder)
    message = refuse("train", "gestures.npz", "--out=mine", "--force", *SMALL)
    assert message.startswith("out folder mine is not a run of bothways, so it is never replaced.")
    message = refuse("train", "gestures.npz", f"--out=mine/{name}", "--force", *SMALL)
    assert "is not a run of bothways" in message
    assert snapshot(folder) == before


def test_the_working_folder_is_refused_as_out(folder, monkeypatch):
    (folder / "empty").mkdir()
    monkeypatch.chdir(folder / "empty")
    message = refuse("train", folder / "gestures.npz", "--out=.", *SMALL)
    assert message == "out folder . has no name; expected a new folder."
    assert not list(Path.cwd().iterdir())


def test_a_non_finite_loss_exits_with_3(folder):
    wild = ["optimizer=sgd", "learning_rate=1e30", "cell=rnn", "nonlinearity=relu"]
    result = invoke("train", "gestures.npz", *SMALL, *(f"--set={setting}" for setting in wild))
    assert result.exit_code == 3
    assert re.fullmatch(
        r"bothways: loss is (nan|inf) in epoch 1, step \d; expected a finite number\. "
        r"Try a lower learning_rate \(now 1e\+30\).*\n",
        result.stderr,
    )


def test_resuming_a_finished_run_changes_nothing(finished):
    before = snapshot(finished)
    result = succeed("train", finished, "--resume")
    assert f"{finished} is already finished; nothing was changed." in result.stdout
    assert snapshot(finished) == before


@pytest.mark.parametrize(
    "settings",
    [
        *(["--set=epochs=9"], ["--seed=0"], ["--device=cpu"], ["--threads=1"], ["--force"]),
        *(["--recipe=lstm-last"], ["--sort"], ["--test=0.2"], ["--validation=0.1", "--axes=ntc"]),
    ],
)
def test_resume_takes_no_other_settings(finished, settings):
    message = refuse("train", finished, "--resume", *reversed(settings))
    named = re.match("--resume was given with (.*); expected no settings", message)[1]
    assert sorted(named.split(", ")) == sorted(setting.partition("=")[0] for setting in settings)


def test_resume_needs_a_run(folder):
    message = refuse("train", "gestures.npz", "--resume")
    assert message == (
        "gestures.npz is not a run; expected a folder that bothways train has written. Name it, "
        "for example: bothways train runs/0001 --resume"
    )


def test_evaluate_prints_the_notebooks_line_and_the_tables(finished):
    result = succeed("evaluate", finished, "--split=test")
    assert re.match(r"test: Got \d+ / 12 with accuracy \d+\.\d\d\n", result.stdout)
    assert "train:" not in result.stdout
    assert "precision" in result.stdout
    assert "true \\ predicted" in result.stdout
    assert result.stderr == ""


def test_evaluate_names_other_data_data(folder, finished):
    arrays = {name: array for name, array in gestures().items() if not name.startswith("test_")}
    np.savez("other.npz", **{name: array[:30] for name, array in arrays.items()})
    result = succeed("evaluate", finished, "other.npz")
    assert re.match(r"data: Got \d+ / 30 with accuracy \d+\.\d\d\n", result.stdout)
    assert "train" not in result.stdout
    assert succeed("evaluate", finished, "other.npz", "--split=data").stdout == result.stdout


def test_evaluate_prints_json(finished):
    metrics = json.loads(succeed("evaluate", finished, "--json").stdout)
    saved = json.loads((finished / "metrics.json").read_bytes())
    assert metrics["train"].items() <= saved["train"].items()
    assert metrics["test"].items() <= saved["test"].items()
    assert metrics["test"]["count"] == 12
    assert metrics["validation"] is None


@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_the_device_is_chosen_as_in_training(finished, monkeypatch, command):
    data = finished.parent / "gestures.npz"
    moved = []
    move = SequenceClassifier.to
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(
        SequenceClassifier,
        "to",
        lambda self, device: moved.append(device.type) or move(self, "cpu"),
    )
    expected = succeed(command, finished, data, "--device", "cpu").stdout
    assert succeed(command, finished, data).stdout == expected
    assert succeed(command, finished, data, "--device", "cuda").stdout == expected
    assert moved == ["cpu", "cuda", "cuda"]
    assert "'gpu' is unknown; " in refuse(command, finished, data, "--device", "gpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    message = refuse(command, finished, data, "--device", "cuda")
    assert message.startswith("device 'cuda' is not available to torch on this machine;")


@pytest.mark.parametrize(
    ("arrays", "arguments", "message"),
    [
        (
            gestures(),
            ["--split=validation"],
            "has no split 'validation'; expected train, test or all",
        ),
        (gestures(), ["--split=tests"], "no split 'tests'; did you mean 'test'? Expected train,"),
        (gestures("abc"), [], "has a class 'a'; expected one of 0, 1, 2"),
        (
            {"inputs": np.zeros((3, 2, 5)), "labels": np.arange(3)},
            [],
            "has 5 features per time step; expected 3, as in training",
        ),
    ],
)
def test_evaluate_refuses_incompatible_data(folder, finished, arrays, arguments, message):
    np.savez("other.npz", **arrays)
    line = refuse("evaluate", finished, "other.npz", *arguments)
    assert message in line
    assert "other.npz" in line


def test_predictions_are_all_that_standard_output_contains(finished):
    result = succeed("predict", finished, finished.parent / "gestures.npz")
    rows = rows_of(result.stdout)
    assert list(rows[0]) == ["sequence", "label", *(f"probability_{n}" for n in range(3))]
    assert [row["sequence"] for row in rows] == [str(n) for n in range(60)]
    assert result.stderr == ""


def test_predictions_go_to_a_file(folder, finished):
    result = succeed("predict", finished, "gestures.npz", "--out=p.jsonl")
    assert (result.stdout, result.stderr) == ("", "60 predictions in p.jsonl\n")
    first = json.loads((folder / "p.jsonl").read_text().splitlines()[0])
    assert list(first["probabilities"]) == ["0", "1", "2"]

    assert "p.jsonl exists" in refuse("predict", finished, "gestures.npz", "--out=p.jsonl")
    succeed("predict", finished, "gestures.npz", "--out=p.jsonl", "--format=csv", "--force")
    assert len(rows_of((folder / "p.jsonl").read_text())) == 60


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.npz", "--out=p.csv"], "none.npz cannot be read: No such file or directory"),
        (["gestures.npz", "none.npz", "--out=p.csv"], "none.npz cannot be read: No such file"),
        (["gestures.npz", "--out=p.txt"], "'txt'; expected csv or jsonl"),
        (["gestures.npz", "--format=xml"], "'xml'; expected csv or jsonl"),
        (["gestures.npz", "--format=json"], "'json'; did you mean 'jsonl'? Expected csv or"),
        (["gestures.npz", "--out=none/p.csv"], "none/p.csv"),
    ],
)
def test_a_refused_prediction_writes_no_file(folder, finished, arguments, message):
    assert message in refuse("predict", finished, *arguments)
    assert [path.name for path in folder.iterdir()] == ["gestures.npz"]


def test_predict_reports_a_missing_file_before_it_prints(folder, finished):
    result = invoke("predict", finished, "gestures.npz", "none.npz")
    assert result.exit_code == 2
    assert result.stdout == ""


@pytest.fixture
def notebook_checkpoint(folder):
    """Return the checkpoint of a bidirectional LSTM for rows of 28 pixels, readout last."""
    torch.manual_seed(0)
    layer = torch.nn.LSTM(28, 4, bidirectional=True)
    notebook = torch.nn.ModuleDict({"lstm": layer, "fc": torch.nn.Linear(8, 10)})
    torch.save(notebook.state_dict(), folder / "model.ckpt")
    return folder / "model.ckpt"


def test_inspect_explains_the_last_step_of_a_bidirectional_model(notebook_checkpoint):
    succeed("convert", notebook_checkpoint, "--readout=last", "--out=model")
    description = succeed("inspect", "model").stdout
    assert "bidirectional LSTM 1x4, readout last" in description
    assert (
        "At the last step, the backward direction of the top layer has made one step" in description
    )
    assert "converted from model.ckpt" in description
    assert "a model without a training run" in description


def test_inspect_describes_a_run(finished):
    description = succeed("inspect", finished).stdout
    assert "bidirectional GRU 1x8, readout final" in description
    assert re.search("normalization +none: numeric features are used as they are", description)
    assert "the backward direction" not in description
    assert re.search(
        r"from +recipe birnn-128, trained on gestures\.npz \(\d+ training", description
    )
    assert re.search(r"training +\d+ steps? in \d+ epochs?, batches of", description)


def test_inspect_describes_an_ensemble(folder):
    model = random_model(members=3)
    model.save("ensemble")
    description = succeed("inspect", "ensemble").stdout
    assert "bidirectional LSTM 1x5, readout final, ensemble of 3 networks" in description
    parameters = 3 * sum(weight.numel() for weight in model.classifier.networks[0].parameters())
    assert re.search(rf"parameters +{parameters:,}\nbackend +compiled", description)


def test_inspect_a_dataset_and_a_checkpoint(notebook_checkpoint):
    data = succeed("inspect", "gestures.npz").stdout
    assert re.search(r"features +3 per time step\ntrain +60 sequences", data)
    assert re.search(r" 2 +20 ", data)  # the table of classes
    assert re.search(r" 4 +\d+ +█+.* 8 +\d+ +█+", data, re.DOTALL)  # the lengths
    weights = succeed("inspect", notebook_checkpoint).stdout
    assert re.search(r"lstm\.weight_ih_l0_reverse +16x28", weights)
    assert "bothways convert" in weights


def test_inspect_refuses_what_it_cannot_read(folder):
    (folder / "empty").mkdir()
    assert "empty holds no .npy, .png, .jpg" in refuse("inspect", "empty")
    assert "none.ckpt cannot be read" in refuse("inspect", "none.ckpt")
    assert "data 'none' is not found" in refuse("inspect", "none")


def test_convert_names_the_classes(notebook_checkpoint):
    names = "nought,one,two,three,four,five,six,seven,eight,nine"
    succeed("convert", notebook_checkpoint, "--readout=last", f"--classes={names}", "--out=model")
    assert f"10: {names.replace(',', ', ')}" in succeed("inspect", "model").stdout


def test_convert_refuses_an_unknown_readout_and_an_existing_folder(notebook_checkpoint):
    assert "expected --readout last, final" in refuse("convert", notebook_checkpoint, "--out=model")
    (notebook_checkpoint.parent / "model").mkdir()
    message = refuse("convert", notebook_checkpoint, "--readout=last", "--out=model")
    assert message.startswith("out folder model exists; expected a new one. Choose another, or")


def test_convert_replaces_a_model_with_force_but_nothing_else(notebook_checkpoint):
    def converted(out, classes="0,1,2,3,4,5,6,7,8,9"):
        return "convert", notebook_checkpoint, "--readout=last", f"--classes={classes}", out

    succeed(*converted("--out=model"))
    succeed(*converted("--out=model", "a,b,c,d,e,f,g,h,i,j"), "--force")
    assert "10: a, b, c, d" in succeed("inspect", "model").stdout
    other = notebook_checkpoint.parent / "other"
    (other / "checkpoints").mkdir(parents=True)
    message = refuse(*converted("--out=other"), "--force")
    assert message.startswith("out folder other is not a model without a run, so --force does not")
    assert list(other.iterdir()) == [other / "checkpoints"]


def test_convert_never_replaces_a_run(notebook_checkpoint, finished):
    before = snapshot(finished)
    arguments = ("convert", notebook_checkpoint, "--readout=last", f"--out={finished}", "--force")
    assert "is not a model without a run" in refuse(*arguments)
    assert snapshot(finished) == before


def test_pictures_are_predicted_with_a_note_on_their_changes(notebook_checkpoint):
    succeed("convert", notebook_checkpoint, "--readout=last", "--out=model")
    Image.fromarray(np.eye(90, dtype=np.uint8) * 255).save("stroke.png")
    result = succeed("predict", "model", "stroke.png")
    assert [row["sequence"] for row in rows_of(result.stdout)] == ["stroke.png"]
    assert result.stderr == "stroke.png: 90x90 gray, scaled to 20x20, centered in 28x28\n"


@pytest.mark.parametrize("arguments", [["--bogus"], ["bogus"], ["train", "--bogus"], ["train"]])
def test_usage_errors_are_one_line(arguments):
    assert "--help" in refuse(*arguments)


def test_messages_have_no_control_characters(folder):
    Path("x.jsonl").write_bytes(b'{"values": [1, 2], "label": "a", "split": "\x1b[31m"}\n')
    Path("bad\x1b[31m.csv").write_text("")
    for arguments in (("train", "x.jsonl"), ("train", "bad\x1b[31m.csv")):
        assert "\x1b" not in refuse(*arguments)


def test_values_of_the_wrong_type_are_explained_in_one_phrase(folder):
    message = refuse("train", "gestures.npz", "--set", "epochs=many")
    assert message == "epochs is 'many'; expected a valid integer. Correct the value."
    message = refuse("train", "gestures.npz", "--target", "stepp")
    assert message.startswith("Invalid value for '--target': 'stepp' is not one of")
    assert "Did you mean 'step'?" in message


@pytest.mark.parametrize(
    ("arguments", "nearest"),
    [(["trian"], "'train'"), (["train", "x", "--lable"], "--label"), (["--verson"], "--version")],
)
def test_unknown_commands_and_options_suggest_the_nearest(arguments, nearest):
    assert nearest in refuse(*arguments)
