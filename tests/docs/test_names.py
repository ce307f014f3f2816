"""Names that a page lists are those of the code."""

import re
from pathlib import Path

import pytest

from bothways.data.readers.tables.roles import _USUAL_NAMES

DATA = (Path(__file__).parents[2] / "docs" / "guides" / "data.md").read_text()


@pytest.mark.parametrize("role", _USUAL_NAMES)
def test_usual_names_of_columns(role):
    (row,) = re.findall(rf"^\| {role} \| (.*) \|$", DATA, re.MULTILINE)
    assert tuple(re.findall("`(.*?)`", row)) == _USUAL_NAMES[role]
