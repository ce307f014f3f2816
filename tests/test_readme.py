"""The commands and the code of the README run."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from bothways.cli.main import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
SHELL = "\n".join(re.findall(r"```\n(.*?)```", README, re.DOTALL)).splitlines()
SHELL += re.findall(r"`(bothways [^`]+)`", README)
COMMANDS = [line.partition("#")[0] for line in SHELL if line.startswith("bothways ")]


@pytest.mark.parametrize("code", PYTHON, ids=range(len(PYTHON)))
def test_python_runs(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_parse(command):
    name, *arguments = shlex.split(command)[1:]
    group = typer.main.get_command(app)
    if name.startswith("--"):
        assert any(name in parameter.opts for parameter in group.params)
    else:
        assert group.commands[name].make_context(name, arguments).params


def test_make_targets_exist():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = README + (ROOT / "CONTRIBUTING.md").read_text()
    named = set(re.findall(r"make ([\w-]+)(?:\s+#|`)", text))
    assert {"train", "check", "test-all", "results"} <= named <= targets


def test_linked_files_exist():
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_examples_are_found():
    assert len(PYTHON) >= 2
    assert len(COMMANDS) >= 6
