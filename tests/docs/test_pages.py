"""All blocks have a language and are executed, or have a reason; what a sentence names exists."""

import importlib.util
import re
import shlex
import tomllib

import pytest
import typer
from page_examples import (
    GENERATED,
    PAGES,
    ROOT,
    console_commands,
    is_block,
    language_of,
    page_name,
    parse,
)
from page_executor import Executor

import bothways
from bothways.cli.main import app
from bothways.config import Architecture, TrainConfig

NOT_CODE = ("text", "{eval-rst}", "{include}", "{toctree}")  # for people and Sphinx

every_page = pytest.mark.parametrize("path", PAGES, ids=page_name)


@every_page
def test_blocks_have_a_language_that_is_executed_or_is_for_people(path):
    known = {*Executor(None).evaluators, *NOT_CODE}
    skipped = False
    for example in parse(path):
        where = f"{path}:{example.line}"
        if not is_block(example.region):
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
    "path", [path for path in PAGES if "decisions" not in path.parts], ids=page_name
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
            if not hasattr(value, part):  # a module that nothing has imported yet
                importlib.import_module(f"{value.__name__}.{part}")
            value = getattr(value, part)


@every_page
def test_extras_exist(path):
    """`pip install` is not executed; the extras that it names are those of the package."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    for names in re.findall(r"'(?:bothways|\.)\[([\w,]+)\]'", path.read_text()):
        assert set(names.split(",")) <= set(extras)


def test_the_generated_pages(tmp_path):
    """Their examples, which `--help` prints too, parse: executing all would take minutes."""
    path = ROOT / "docs" / "extensions" / "generated.py"
    spec = importlib.util.spec_from_file_location("generated", path)
    generated = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generated)
    (docs := tmp_path / "docs").mkdir()
    generated.write_pages(docs)
    parsed = 0
    for path in [docs / page.relative_to(ROOT / "docs") for page in GENERATED]:
        test_blocks_have_a_language_that_is_executed_or_is_for_people(path)
        for example in parse(path):
            if language_of(example.region) == "console":
                for command in console_commands(example.parsed):
                    if command.words[0] == "bothways":
                        assert_parses(shlex.join(command.words))
                        parsed += 1
    assert parsed > 20
    page = (docs / "reference/settings.md").read_text()
    entries = re.findall(r"^`(\w+)`\n: (.*)\n\n  (.*)\n", page, re.M)
    names = {name for name, _, _ in entries}
    assert names == {*Architecture.model_fields, *TrainConfig.model_fields}
    assert all("default `" in facts and len(meaning.split()) > 2 for _, facts, meaning in entries)


def assert_parses(command):
    words = shlex.split(command, comments=True)
    name, *arguments = words[1 : words.index(">") if ">" in words else None]
    group = typer.main.get_command(app)
    if name.startswith("--"):
        assert any(name in parameter.opts for parameter in group.params)
    elif arguments:
        assert group.commands[name].make_context(name, arguments).params
    else:  # a mention
        assert name in group.commands
