"""Use an installed bothways as a user would, in the current folder, and check what it answers.

python .ci/smoke.py VERSION base       with the base dependencies alone, in an empty folder
python .ci/smoke.py VERSION read-only  then without permission to write elsewhere
python .ci/smoke.py VERSION extras     then with all extras, in the same folder
"""

import io
import json
import os
import pkgutil
import subprocess
import sys
import urllib.request
from contextlib import redirect_stderr
from importlib import import_module
from pathlib import Path

import numpy as np
import torch
from typer.testing import CliRunner

import bothways
import bothways.cli.main  # adds the commands to the app
from bothways.cli.app import app
from bothways.nn import LSTM

COMMAND = str(Path(sys.executable).with_name("bothways"))
SHORT = (  # 50 steps
    "--set epochs=1 --set batch_size=1200 --set validation_fraction=0 --set learning_rate=0.02"
)


def run(command: str, code: int = 0) -> str:
    """Run a command; return what it printed, or its errors if it is expected to fail."""
    result = subprocess.run([COMMAND, *command.split()], capture_output=True, text=True)
    assert result.returncode == code, f"{command}: {result.returncode}\n{result.stderr}"
    return result.stderr if code else result.stdout


def call(command: str, code: int = 0) -> str:
    """Do what `run` does in this process, which has imported torch already."""
    result = CliRunner().invoke(app, command.split(), catch_exceptions=False)
    assert result.exit_code == code, f"{command}: {result.exit_code}\n{result.stderr}"
    return result.stderr if code else result.stdout


def check_base(version: str) -> None:
    assert bothways.__version__ == version
    assert run("--version") == f"bothways {version}\n"
    assert "site-packages" in bothways.__file__

    run(f"train mnist --recipe bilstm-12-flatten --out run {SHORT}")
    metrics = json.loads(run("evaluate run mnist --split test --json"))
    assert metrics["test"]["accuracy"] > 0.8, metrics["test"]["accuracy"]

    digits = bothways.open_dataset("mnist").test
    assert digits is not None
    np.savez("digits.npz", inputs=digits.batch([0, 1, 2]).inputs.numpy())
    assert len(run("predict run digits.npz").splitlines()) == 4

    check_missing("predict run picture.png", "images")
    check_missing("inspect steps.csv", "tables")

    check_layers()


def check_layers() -> None:
    layer = LSTM(28, 16, num_layers=2, bidirectional=True, batch_first=True)
    outputs, (h_n, _) = layer(torch.rand(3, 50, 28), lengths=[50, 8, 21])
    assert outputs.shape == (3, 50, 32)
    assert h_n.shape == (4, 3, 16)
    assert not outputs[1, 8:].any()
    assert str(layer.last_choice).startswith("compiled"), layer.last_choice


def check_read_only() -> None:
    """Check that the engine works without a cache, and says in one line why it is not saved."""
    for folder in (Path.home(), Path(bothways.__file__).parent):
        assert not os.access(folder, os.W_OK), folder
    with redirect_stderr(io.StringIO()) as errors:
        check_layers()
    (line,) = errors.getvalue().splitlines()
    assert f"cannot be saved in {Path.home()}" in line, line
    assert len(call("predict run digits.npz").splitlines()) == 4
    assert "saved in read-only" in call(
        f"train mnist --recipe bilstm-12-flatten --out read-only {SHORT}"
    )


def check_missing(command: str, extra: str) -> None:
    """Check that a command names in one line the extra that it needs."""
    for path in ("picture.png", "steps.csv"):
        Path(path).touch()
    errors = run(command, code=2)
    assert "not installed" in errors.splitlines()[-1], errors
    assert f"pip install 'bothways[{extra}]'" in errors.splitlines()[-1], errors
    assert "Traceback" not in errors


def check_extras() -> None:
    for module in pkgutil.walk_packages(bothways.__path__, "bothways."):
        import_module(module.name)

    from PIL import Image

    digit = np.load("digits.npz")["inputs"][0]
    Image.fromarray((255 * digit).astype(np.uint8)).save("picture.png")
    assert "picture" in call("predict run picture.png")
    call("report run")
    assert Path("run/report.html").stat().st_size > 10_000

    write_table(Path("steps.csv"))
    table = "train steps.csv --sequence id --label label --test 0.3 --set epochs=1 --out"
    call(f"{table} first --set tensorboard=true")
    call(f"{table} second --seed 1")
    call("report first second")
    assert any(Path("first").rglob("events.out.*"))

    call("export run --to model.onnx")
    assert len(call("predict model.onnx digits.npz").splitlines()) == 4
    call("export run --to model.c")
    assert "cannot be downloaded" in call("inspect hf://owner/name", code=2)

    sequences = [np.random.default_rng(n).normal(n % 2, 1, (5 + n, 2)) for n in range(20)]
    labels = [n % 2 for n in range(20)]
    classifier = bothways.RecurrentClassifier(hidden_size=4, epochs=1, random_state=0)
    assert set(classifier.fit(sequences, labels).predict(sequences)) <= {0, 1}
    check_server()


def write_table(path: Path) -> None:
    """Write 40 sequences of two classes with one row for each time step."""
    values = np.random.default_rng(0).normal(size=(40, 6))
    rows = [f"{n},{x + n % 2:.3f},{'ab'[n % 2]}" for n in range(40) for x in values[n]]
    path.write_text("\n".join(["id,x,label", *rows]))


def check_server() -> None:
    """Check that a model is served; the server stops at the end."""
    command = [COMMAND, "serve", "run", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            line = next(line for line in server.stdout if line.startswith("ready: "))
            address = line.split()[1]
            with urllib.request.urlopen(f"{address}/model", timeout=30) as answer:
                assert len(json.load(answer)["classes"]) == 10
        finally:
            server.terminate()


if __name__ == "__main__":
    version, installed = sys.argv[1:]
    if installed == "base":
        check_base(version)
    elif installed == "read-only":
        check_read_only()
    else:
        check_extras()
    print(f"{installed}: works")
