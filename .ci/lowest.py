"""Print the lowest versions that pyproject.toml admits, as constraints for pip.

python .ci/lowest.py EXTRA ...

The dependencies of bothways and of these extras are printed, but not what they depend on.
"""

import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"


def lowest_versions(project: Mapping[str, Any], extras: Iterable[str]) -> dict[str, Version]:
    """Return the lowest version of each direct dependency, by name.

    Parameters
    ----------
    project : mapping
        The table `project` of a pyproject.toml. An extra may name other extras of the same project.
    extras : iterable of str
        The extras to install.

    Raises
    ------
    ValueError
        If a dependency has no lower bound, or an extra does not exist.
    """
    lowest: dict[str, Version] = {}
    for requirement in _requirements(project, extras):
        bounds = [part.version for part in requirement.specifier if part.operator == ">="]
        if not bounds:
            raise ValueError(
                f"dependency {str(requirement)!r} has no lower bound; expected name>=version. "
                f"Add one to pyproject.toml."
            )
        name = canonicalize_name(requirement.name)
        versions = [Version(bound) for bound in bounds]
        lowest[name] = max([*versions, *([lowest[name]] if name in lowest else [])])
    return dict(sorted(lowest.items()))


def _requirements(project: Mapping[str, Any], extras: Iterable[str]) -> Iterator[Requirement]:
    yield from map(Requirement, project["dependencies"])
    known = project["optional-dependencies"]
    pending, seen = list(extras), set[str]()
    while pending:
        extra = pending.pop()
        if extra in seen:
            continue
        seen.add(extra)
        if extra not in known:
            raise ValueError(f"extra {extra!r} is unknown; expected one of {', '.join(known)}.")
        for requirement in map(Requirement, known[extra]):
            if requirement.name == project["name"]:
                pending += requirement.extras
            else:
                yield requirement


def main(extras: Sequence[str]) -> None:
    project = tomllib.loads(PYPROJECT.read_text())["project"]
    for name, version in lowest_versions(project, extras).items():
        print(f"{name}=={version}")


if __name__ == "__main__":
    main(sys.argv[1:])
