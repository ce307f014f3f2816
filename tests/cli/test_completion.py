"""Completion in shells, by the protocol in which the shells ask."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from commands import run_command

from bothways.cli.completion import complete_setting
from bothways.config import READOUTS
from bothways.recipes import all_recipes


def ask(shell, **variables):
    """Return what the command answers to a shell."""
    asked = {"_BOTHWAYS_COMPLETE": f"complete_{shell}", **variables}
    result = run_command(before=f"os.environ |= {asked}")
    assert result.stderr == ""
    return result.stdout.splitlines()


def in_bash(*words):
    """Return what bash offers for the last of the words, which it divides at each `=`."""
    place = {"COMP_WORDS": "\n".join(("bothways", *words)), "COMP_CWORD": str(len(words))}
    return ask("bash", **place)


def test_bash_completes_commands_options_recipes_and_choices():
    assert in_bash("in") == ["inspect"]
    assert in_bash("train", "mnist", "--cal") == ["--calibrate"]
    assert in_bash("train", "--target", "") == ["sequence", "step"]
    assert in_bash("train", "mnist", "--recipe", "lstm-") == ["lstm-flatten", "lstm-last"]
    assert in_bash("predict", "run", "x", "--format", "") == ["csv", "jsonl"]
    assert in_bash("bench", "--cell", "g") == ["gru"]
    assert in_bash("evaluate", "run", "--device", "c") == ["cpu", "cuda"]


@pytest.mark.parametrize("option", [["--set"], ["--set", "="], ["--vary"]])
def test_bash_completes_settings_that_it_divides(option):
    command = "compare" if option == ["--vary"] else "train"
    cells = ["rnn", "gru", "lstm"]
    assert in_bash(command, "x", *option, "cel") == ["cell=", *(f"cell={name}" for name in cells)]
    assert in_bash(command, "x", *option, "cell", "=") == cells
    assert in_bash(command, "x", *option, "cell", "=", "g") == ["gru"]


def test_bash_leaves_files_to_its_own_completion():
    assert in_bash("train", "") == []
    assert in_bash("train", "mnist", "--set", "cell", "=", "gru", "") == []


def test_zsh_and_fish_show_what_a_recipe_is():
    line = {"_TYPER_COMPLETE_ARGS": "bothways train mnist --recipe lstm-l"}
    (zsh,) = ask("zsh", **line)
    assert zsh == """_arguments '*: :(("lstm-last":"forward LSTM 2x256, last step"))'"""
    fish = ask("fish", _TYPER_COMPLETE_FISH_ACTION="get-args", **line)
    assert fish == ["lstm-last\tforward LSTM 2x256, last step"]
    line = {"_TYPER_COMPLETE_ARGS": "bothways train mnist --set cell=g"}
    assert ask("zsh", **line) == ["""_arguments '*: :(("cell=gru"))'"""]
    assert ask("fish", _TYPER_COMPLETE_FISH_ACTION="get-args", **line) == ["cell=gru"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_a_shell_can_be_shown_and_installed(shell, tmp_path):
    source = {"_BOTHWAYS_COMPLETE": f"source_{shell}"}
    assert "complete" in run_command(before=f"os.environ |= {source}").stdout
    detected = f"import shellingham; shellingham.detect_shell = lambda: ('{shell}', '')"
    home = f"os.environ['HOME'] = {str(tmp_path)!r}; {detected}"
    shown = run_command("--show-completion", before=home)
    assert f"_BOTHWAYS_COMPLETE=complete_{shell}" in shown.stdout
    installed = run_command("--install-completion", before=home)
    assert installed.returncode == 0
    assert f"{shell} completion installed in {tmp_path}" in installed.stdout


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_the_script_works_in_bash():
    program = Path(sys.executable).with_name("bothways")
    script = f"""
    eval "$(_BOTHWAYS_COMPLETE=source_bash {program})"
    COMP_WORDS=(bothways train mnist --set cell = g); COMP_CWORD=6
    _bothways_completion {program}; echo "${{COMPREPLY[*]}}"
    """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=100)
    assert (done.stdout, done.stderr) == ("gru\n", "")


def test_settings_complete_with_their_values():
    assert complete_setting("readout=") == [f"readout={name}" for name in READOUTS]
    assert complete_setting("bidir") == [f"bidirectional={v}" for v in ("", "true", "false")]
    assert complete_setting("hidden_size") == ["hidden_size=", "hidden_size=128"]
    assert complete_setting("patience=") == ["patience=null"]
    assert complete_setting("cellar=") == []
    assert complete_setting("stem_") == [
        f"stem_{n}=" for n in ("channels", "kernel", "stride", "layers")
    ]


def test_all_recipes_complete():
    offered = in_bash("train", "mnist", "--recipe", "")
    assert offered == [recipe.name for recipe in all_recipes()]
