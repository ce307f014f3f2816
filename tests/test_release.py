"""The version is the same everywhere, imports are declared, and a release is checked."""

import ast
import re
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import archives
import lowest
import pytest
from commands import succeed
from packaging.requirements import Requirement
from packaging.version import Version

import bothways

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FOR_CONTRIBUTORS = {"docs", "benchmark", "dev"}
FOR_USERS = set(PROJECT["optional-dependencies"]) - FOR_CONTRIBUTORS

DISTRIBUTIONS = {"PIL": "pillow", "sklearn": "scikit-learn"}
COMES_WITH = {"llvmlite": "numba", "pydantic_core": "pydantic", "starlette": "fastapi"}
"""Modules that are imported, and the dependencies that depend on them."""


def test_the_version_is_that_of_pyproject():
    assert bothways.__version__ == version("bothways") == PROJECT["version"], "run: make install"
    assert succeed("--version").stdout == f"bothways {PROJECT['version']}\n"
    citation = (ROOT / "CITATION.cff").read_text()
    assert re.findall(r"^version: (.*)$", citation, re.MULTILINE) == [PROJECT["version"]]


def test_the_changelog_begins_with_what_is_unreleased_and_this_version():
    changelog = (ROOT / "CHANGELOG.md").read_text()
    first, second = re.findall(r"^## (.*)$", changelog, re.MULTILINE)[:2]
    assert first == "Unreleased"
    assert re.fullmatch(rf"{re.escape(PROJECT['version'])} - \d{{4}}-\d\d-\d\d", second)


def test_each_version_has_golden_models():
    assert (ROOT / "tests" / "goldens" / PROJECT["version"]).is_dir()


def imported_packages(source):
    """Return the packages outside the standard library that a module imports, also by `require`."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module)
        elif isinstance(node, ast.Call) and getattr(node.func, "id", None) == "require":
            names |= {name.value for name in node.args if isinstance(name, ast.Constant)}
    return {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"bothways"}


def test_imports_are_found():
    source = "import os, a.b\nfrom c import d\nif a:\n    require('e.f', extra='g', purpose='h')"
    assert imported_packages(source) == {"a", "c", "e"}


def test_what_is_imported_is_declared():
    imported = {
        COMES_WITH.get(package, DISTRIBUTIONS.get(package, package.replace("_", "-")))
        for path in (ROOT / "src" / "bothways").rglob("*.py")
        for package in imported_packages(path.read_text())
    }
    declared = set(lowest.lowest_versions(PROJECT, FOR_USERS))
    assert imported <= declared
    # imported by uvicorn, which does not depend on them
    assert declared - imported == {"httptools", "websockets"}


def test_lowest_versions_are_the_highest_bounds_of_the_extras():
    project = {
        "name": "this",
        "dependencies": ["A_b>=1.2,<3", "c>=2"],
        "optional-dependencies": {
            "one": ["this[two]", "d>=0.5; python_version>'3'"],
            "two": ["c>=2.10"],
        },
    }
    assert lowest.lowest_versions(project, []) == {"a-b": Version("1.2"), "c": Version("2")}
    versions = lowest.lowest_versions(project, ["one"])
    assert list(map(str, versions.values())) == ["1.2", "2.10", "0.5"]
    with pytest.raises(ValueError, match=r"extra 'three' is unknown; expected one of one, two\."):
        lowest.lowest_versions(project, ["three"])
    project["dependencies"].append("e<4")
    with pytest.raises(ValueError, match="dependency 'e<4' has no lower bound; expected name>="):
        lowest.lowest_versions(project, [])


def test_lowest_versions_are_printed_as_constraints(capsys):
    lowest.main(["serve"])
    lines = capsys.readouterr().out.splitlines()
    names = {Requirement(line).name for line in lines}
    assert {"numpy", "fastapi", "pillow"} <= names  # serve includes images
    assert "scipy" not in names


def test_a_release_is_tried_with_all_extras_for_users():
    (extras,) = re.findall(r"^extras=\((.*)\)$", (ROOT / ".ci/release").read_text(), re.MULTILINE)
    assert set(extras.split()) == FOR_USERS


def test_the_check_of_an_archive_names_the_files():
    archives.check("a.whl", ["one", "two"], ["two", "one"])
    with pytest.raises(SystemExit, match=r"a\.whl lacks \['three'\] and has \['two'\]; expected"):
        archives.check("a.whl", ["one", "two"], ["one", "three"])
