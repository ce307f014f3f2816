"""Names that a page lists are those of the code, and the names of the code are on the pages."""

import importlib
import inspect
import re
from pathlib import Path

import pytest

import bothways
from bothways.data.readers.tables.roles import _USUAL_NAMES

DOCS = Path(__file__).parents[2] / "docs"
DATA = (DOCS / "guides" / "data.md").read_text()


@pytest.mark.parametrize("role", _USUAL_NAMES)
def test_usual_names_of_columns(role):
    (row,) = re.findall(rf"^\| {role} \| (.*) \|$", DATA, re.MULTILINE)
    assert tuple(re.findall("`(.*?)`", row)) == _USUAL_NAMES[role]


def documented():
    """Yield the names that the reference of Python documents, and what they name."""
    for page in sorted((DOCS / "reference" / "python").glob("*.md")):
        for path in re.findall(r"auto(?:class|function):: ([\w.]+)", page.read_text()):
            module, _, name = path.rpartition(".")
            yield path, getattr(importlib.import_module(module), name)


@pytest.mark.parametrize(
    ("name", "value"), [pytest.param(*pair, id=pair[0]) for pair in documented()]
)
def test_documented_names_have_an_example(name, value):
    if inspect.isabstract(value):
        assert all(">>>" in kind.__doc__ for kind in value.__subclasses__())
    else:
        assert ">>>" in value.__doc__


def test_public_names_are_documented():
    documented_names = {name for name, _ in documented()}
    errors = {name for name in bothways.__all__ if name.endswith("Error")}
    assert {f"bothways.{name}" for name in bothways.__all__} - documented_names == {
        f"bothways.{name}" for name in errors
    }
