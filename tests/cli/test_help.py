"""The help as people read it in a terminal of 80 columns."""

import re
import subprocess
import sys

import pytest
from commands import succeed

from bothways.cli.main import app
from bothways.data.options import DataOptions

COMMANDS = [str(command.name) for command in app.registered_commands]
LINES = {"train": 60}  # of a terminal; others: 45


@pytest.fixture(autouse=True)
def terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")


def help_of(command):
    return succeed(command, "--help").stdout


def test_without_arguments_it_shows_what_to_try():
    text = succeed().stdout
    assert text.count("\n") < 20
    assert max(map(len, text.splitlines())) <= 80
    tried = re.findall(r"^  bothways (\w+)", text, re.MULTILINE)
    assert set(tried) <= set(COMMANDS)
    assert len(tried) >= 3
    assert "bothways --help" in text
    assert "docs/" in text


def test_help_names_the_commands_and_the_exit_codes():
    text = succeed("--help").stdout
    assert re.findall(r"^  ([a-z]+)  ", text, re.MULTILINE) == COMMANDS
    assert re.findall(r"^  (\d+) ", text, re.MULTILINE) == ["0", "1", "2", "3", "130"]
    assert "..." not in text  # no description is cut off


@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_a_screen_and_ends_with_examples(command):
    text = help_of(command)
    assert text.count("\n") <= LINES.get(command, 45)
    assert max(map(len, text.splitlines())) <= 80
    assert re.match(rf"Usage: bothways {command} ", text)
    assert re.search(rf"\nExamples:\n  bothways {command}[^\n]*\n(  .*\n)*\Z", text)


@pytest.mark.parametrize("command", COMMANDS)
def test_values_are_named_and_ranges_are_words(command):
    assert not re.search(r"<\w|range>|x>=|\[default|\{[A-Z]", help_of(command))


def test_options_are_in_titled_groups_in_order():
    text = help_of("train")
    titles = re.findall(r"^(\w.*):$", text, re.MULTILINE)
    groups = ["Data", "Splits", "Model and training", "Run", "Data, rarely needed"]
    assert titles == ["Arguments", *groups, "Examples"]
    for name, role in DataOptions.roles():
        flag = "--" + (role.flag or name).replace("_", "-")
        assert re.search(rf"\n{role.group}:\n(  .*\n)*  {flag} ", text), flag


def test_defaults_ranges_and_required_options_are_stated():
    assert re.search(
        r"--max-classes N +Most classes allowed. At least 2; default: 5000.\n", help_of("train")
    )
    assert re.search(r"--port N +.* 0 to 65535; default: 8000\.\n", help_of("serve"))
    assert re.search(r"--to FILE +.* Required\.\n", help_of("export"))
    assert "Usage: bothways export MODEL --to FILE [OPTIONS]\n" in help_of("export")
    assert "Usage: bothways evaluate MODEL [DATA] [OPTIONS]\n" in help_of("evaluate")
    assert "Usage: bothways predict MODEL FILE... [OPTIONS]\n" in help_of("predict")
    assert "Write report.html. Default: --report; with" in help_of("train")


def test_python_m_bothways_is_bothways():
    command = [sys.executable, "-m", "bothways", "recipes", "--help"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert result.stdout.startswith("Usage: bothways recipes [NAME] [OPTIONS]\n")
