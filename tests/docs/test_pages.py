"""The code and the commands of the README and of the site run as they are written.

Trainings are short and digits are few, see `short_training`. One test executes a whole page, whose
blocks depend on each other.
"""

import importlib.util
import re
import shlex
import shutil
import tomllib
from pathlib import Path
from unittest import SkipTest

import pytest
import typer
from hub_server import as_own_hub, running_hub
from page_examples import SPOKEN, Executor, console_commands, language_of, parse
from sample_files import train_waves, write_samples
from short_training import shorten

import bothways
from bothways.cli.main import app

ROOT = Path(__file__).parents[2]
GENERATED = {
    ROOT / "docs" / "reference" / f"{name}.md" for name in ("commands", "recipes", "settings")
}
SITE = {path for path in ROOT.glob("docs/**/*.md") if "build" not in path.parts} - GENERATED
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(SITE)]
EXECUTED = [
    path for path in PAGES if re.search("^```(python|console|c|json|toml)$", path.read_text(), re.M)
]
FROM_THE_START = ("README.md", "docs/index.md")  # the reader of these pages has no runs yet


def name_of(path):
    return str(path.relative_to(ROOT))


every_page = pytest.mark.parametrize("path", PAGES, ids=name_of)


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


@pytest.mark.parametrize("path", EXECUTED, ids=name_of)
def test_the_examples_run(path, executor):
    if name_of(path) in FROM_THE_START:
        shutil.rmtree("runs")
    for example in parse(path, evaluators=executor.evaluators):
        try:
            example.evaluate()
        except SkipTest as reason:
            print(f"{path}:{example.line} is skipped: {reason}")


@every_page
def test_blocks_have_a_language_that_is_executed_or_is_for_people(path):
    """Every block has a language, and is executed, for people, or skipped with a reason."""
    known = {*Executor(None).evaluators, *SPOKEN}
    skipped = False
    for example in parse(path):
        where = f"{path}:{example.line}"
        if "info" not in (example.region.lexemes or {}):
            action, reason = example.parsed
            assert action == "next", where
            assert len((reason or "").split()) > 2, f"{where}: the skip has no reason"
            skipped = True
            continue
        language = language_of(example.region)
        assert language, f"{where}: the block has no language"
        assert language in known or skipped, f"{where}: nothing executes {language}"
        if skipped and language == "console":
            programs = {command.words[0] for command in console_commands(example.parsed)}
            assert "bothways" not in programs, f"{where}: bothways can be executed"
        skipped = False
    assert not skipped, f"{path}: nothing follows the last skip"


def test_the_language_test_finds_faults(tmp_path):
    page = tmp_path / "page.md"
    for text in (
        "```\nls\n```\n",
        "```fortran\nend\n```\n",
        "<!-- skip: next -->\n```fortran\nend\n```\n",
        '<!-- skip: next "no time for it" -->\n```console\n$ bothways recipes\n```\n',
        '<!-- skip: next "no time for it" -->\n',
    ):
        page.write_text(text)
        with pytest.raises(AssertionError, match=r"page\.md"):
            test_blocks_have_a_language_that_is_executed_or_is_for_people(page)
    page.write_text('<!-- skip: next "no time for it" -->\n```fortran\nend\n```\n')
    test_blocks_have_a_language_that_is_executed_or_is_for_people(page)


@pytest.mark.parametrize(
    "path", [path for path in PAGES if "decisions" not in path.parts], ids=name_of
)
def test_commands_within_a_sentence_parse(path):
    prose = re.sub(r"^( *)```.*?^\1```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    for command in re.findall(r"`(bothways [^`]+)`", prose):
        assert_parses(command)


@every_page
def test_names_within_a_sentence_exist(path):
    for name in re.findall(r"`(bothways(?:\.\w+)+)", path.read_text()):
        value = bothways
        for part in name.split(".")[1:]:
            if not hasattr(value, part):
                value = importlib.import_module(f"{value.__name__}.{part}")
            else:
                value = getattr(value, part)


@every_page
def test_extras_exist(path):
    """`pip install` is not executed; the extras that it names are those of the package."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    for names in re.findall(r"'(?:bothways|\.)?\[([\w,]+)\]'", path.read_text()):
        assert set(names.split(",")) <= set(extras)


def test_the_generated_pages(tmp_path):
    """Their examples, which `--help` prints too, parse: executing all would take minutes."""
    spec = importlib.util.spec_from_file_location(
        "generated", ROOT / "docs/extensions/generated.py"
    )
    generated = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generated)
    generated.write_pages(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in GENERATED}
    parsed = 0
    for path in tmp_path.iterdir():
        test_blocks_have_a_language_that_is_executed_or_is_for_people(path)
        for example in parse(path):
            if language_of(example.region) == "console":
                for command in console_commands(example.parsed):
                    if command.words[0] == "bothways":
                        assert_parses(shlex.join(command.words))
                        parsed += 1
    assert parsed > 20


def assert_parses(command):
    words = shlex.split(command, comments=True)
    name, *arguments = words[1 : words.index(">") if ">" in words else None]
    command = typer.main.get_command(app).commands[name]
    if arguments:  # a command's name alone is a mention
        assert command.make_context(name, arguments).params
