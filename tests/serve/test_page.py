"""What docs/guides/serve.md says about answers and limits; `tests/docs` executes its code."""

import json
import re
from pathlib import Path

import httpx
import pytest
import typer
from serving import make_model, running

from bothways.cli.main import app
from bothways.serve.limits import Limits

PAGE = (Path(__file__).parents[2] / "docs" / "guides" / "serve.md").read_text()
STEPS, ERROR = map(json.loads, re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL))


def shape_of(value):
    """Return the keys of a JSON value, without its numbers and labels."""
    if isinstance(value, dict):
        return {key: shape_of(inner) for key, inner in value.items()}
    return [shape_of(value[0])] if isinstance(value, list) else type(value)


def answer_of(model, sequence):
    """Return the answer of a server to a request."""
    with running(model) as port:
        url = f"http://127.0.0.1:{port}/predict"
        return httpx.post(url, json={"sequence": sequence}).json()


def test_the_answer_of_a_step_model():
    answer = answer_of(make_model(readout="step"), [[0, 9, -9], [9, 0, 0], [-9, 9, 9]])
    assert shape_of(answer) == shape_of(STEPS)


def test_the_error_of_the_page():
    error = answer_of(make_model(features=("ax", "ay", "az")), [[0, 1]])["error"]
    assert error["status"] == ERROR["error"]["status"]
    assert error["message"].startswith(ERROR["error"]["message"].removesuffix("…"))


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
