"""The examples of docs/guides/serve.md run."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest
import typer
from serving import make_model, running

from bothways.cli.main import app
from bothways.serve.limits import Limits

PAGE = (Path(__file__).parents[2] / "docs" / "serve.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
SHELL = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
JSON = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
COMMANDS = re.findall(r"^bothways serve (.*)$", PAGE, re.MULTILINE)


@pytest.fixture(scope="module")
def port():
    with running(make_model(num_classes=2, classes=("calm", "rough"))) as port:
        yield port


def shape_of(value):
    """Return the keys of a JSON value, without its numbers and labels."""
    if isinstance(value, dict):
        return {key: shape_of(inner) for key, inner in value.items()}
    return [shape_of(value[0])] if isinstance(value, list) else type(value)


@pytest.mark.parametrize("code", PYTHON, ids=range(len(PYTHON)))
def test_python_runs(code, port, capsys):
    exec(compile(code.replace(":8000", f":{port}"), "docs/guides/serve.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert lines
    assert all(line.startswith(("calm", "rough")) for line in lines)


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
@pytest.mark.parametrize("code", SHELL, ids=range(len(SHELL)))
def test_curl_gets_the_answer_of_the_page(code, port):
    command = ["bash", "-c", code.replace(":8000", f":{port}")]
    answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert shape_of(json.loads(answer)) == shape_of(JSON[0])


def test_the_answer_of_a_step_model():
    with running(make_model(readout="step")) as port:
        body = {"sequence": [[0, 9, -9], [9, 0, 0], [-9, 9, 9]]}
        answer = httpx.post(f"http://127.0.0.1:{port}/predict", json=body).json()
    assert shape_of(answer) == shape_of(JSON[1])


def test_the_error_of_the_page(port):
    url = f"http://127.0.0.1:{port}/predict"
    answer = httpx.post(url, json={"sequence": [[0, 1]]}).json()
    expected = JSON[2]["error"]
    assert answer["error"]["status"] == expected["status"]
    assert answer["error"]["message"].startswith(expected["message"].removesuffix("…"))


def test_commands_parse():
    assert len(COMMANDS) >= 2
    for arguments in COMMANDS:
        serve = typer.main.get_command(app).commands["serve"]
        assert serve.make_context("serve", arguments.split()).params


@pytest.mark.parametrize(
    ("row", "value"),
    [
        ("size of the body", f"{Limits().body_bytes >> 20} MiB"),
        ("sequences in a request", str(Limits().sequences)),
        ("time steps in a request", f"{Limits().steps:,}"),
        ("time from the end of a request", f"{Limits().seconds:g} s"),
        ("requests in progress", str(Limits().queue)),
        ("memory of the bodies", f"{Limits().held_bytes >> 20} MiB"),
        ("time for the headers", f"{Limits().client_seconds:g} s"),
    ],
)
def test_the_limits_of_the_page_are_the_defaults(row, value):
    (line,) = [line for line in PAGE.splitlines() if line.startswith(f"| {row}")]
    assert line.split("|")[2].strip() == value


def test_all_options_of_the_command_are_known_to_the_page():
    serve = typer.main.get_command(app).commands["serve"]
    options = {name for option in serve.params for name in option.opts if name.startswith("--")}
    assert {name for name in options if name.startswith("--max")} <= set(
        re.findall(r"--[\w-]+", PAGE)
    )
