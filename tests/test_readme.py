"""What the README and CONTRIBUTING refer to exists; `tests/docs` executes their code."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]


def test_make_targets_exist():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = "".join(page.read_text() for page in PAGES)
    named = set(re.findall(r"(?:\$ |`)make ([\w-]+)", text))
    assert {"train", "check", "test-all", "results"} <= named <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_linked_files_exist(page):
    """`make docs` checks the links of the site."""
    targets = re.findall(r"\]\(([^)#]+)\)", page.read_text())
    for target in targets:
        assert target.startswith("http") or (page.parent / target).exists(), target
