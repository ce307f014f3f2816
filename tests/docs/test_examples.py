"""The code and the commands of the README and of the site run as they are written.

Trainings are short and digits are few, see `short_training`. One test executes a whole page, whose
blocks depend on each other.
"""

import re
import shutil
from pathlib import Path
from unittest import SkipTest

import pytest
from hub_server import as_own_hub, running_hub
from page_examples import PAGES, console_commands, page_name, parse
from page_executor import Executor, matches
from sample_files import train_waves, write_samples
from short_training import shorten

import bothways

FENCE = re.compile("^```(python|console|c|json|toml)$", re.MULTILINE)
EXECUTED = [path for path in PAGES if FENCE.search(path.read_text())]
FROM_THE_START = ("README.md", "docs/index.md")  # the reader of these pages has no runs yet


@pytest.fixture(scope="session")
def samples(tmp_path_factory):
    """Return a folder with the files that the pages name."""
    folder = tmp_path_factory.mktemp("samples")
    train_waves(folder / "runs" / "waves")
    with pytest.MonkeyPatch.context() as patch:
        shorten(patch.setattr)
        write_samples(folder)
        bothways.train("mnist", out=folder / "runs" / "0001")
    return folder


@pytest.fixture
def executor(samples, tmp_path, monkeypatch):
    """Return what executes a page, in a folder of its own, with a model hub of its own."""
    folder = tmp_path / "page"
    shutil.copytree(samples, folder)
    monkeypatch.chdir(folder)
    shorten(monkeypatch.setattr)
    with running_hub() as hub, as_own_hub(hub, tmp_path / "cache", monkeypatch):
        model = {
            path.name: path.read_bytes() for path in Path("runs/0001").iterdir() if path.is_file()
        }
        hub.repositories["owner/name"] = {"main": model, "v1": model}
        executor = Executor(monkeypatch)
        try:
            yield executor
        finally:
            executor.stop()


@pytest.mark.parametrize("path", EXECUTED, ids=page_name)
def test_the_examples_run(path, executor):
    if page_name(path) in FROM_THE_START:
        shutil.rmtree("runs")
    for example in parse(path, evaluators=executor.evaluators):
        try:
            example.evaluate()
        except SkipTest as reason:
            print(f"{path}:{example.line} is skipped: {reason}")


@pytest.mark.parametrize(
    ("shown", "printed", "expected"),
    [
        ("loss 0.5,  1,024 s", "loss 1e-3, 7 s", True),
        ("loss 0.5", "lost 0.5", False),
        ("a", "a\nb", False),
        ("a\n…", "a\nb\nc", True),
        ("…\nc", "a\nb\nc", True),
        ("…\nc", "a\nb\nd", False),
        ("row 1\nrow 2\nend", "row 1\nend", True),
        ("sizes differ …", "sizes differ by 3", True),
        ("^C\nstopped", "stopped", True),
    ],
)
def test_the_shown_output_is_compared(shown, printed, expected):
    assert matches(shown.splitlines(), printed) == expected


def test_a_wrong_output_fails(tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    page.write_text(
        "```console\n$ bothways --version\nbothways 0.0\n$ bothways --version\nsix\n```"
    )
    (example,) = parse(page, Executor(monkeypatch).evaluators)
    with pytest.raises(AssertionError, match=r"shown:\nsix\nis:\nbothways \d"):
        example.evaluate()


def test_unknown_programs_are_not_executed(tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    page.write_text("```console\n$ rm -r .\n```")
    (example,) = parse(page, Executor(monkeypatch).evaluators)
    with pytest.raises(AssertionError, match="rm is not executed; add a skip with the reason"):
        example.evaluate()


def test_a_command_has_lines_and_output():
    first, second = console_commands("$ curl -d \\\n   x  # why\n{}\n# then\n$ make\n")
    assert (first.words, first.output) == (["curl", "-d", "x"], ["{}"])
    assert (second.words, second.output) == (["make"], [])
