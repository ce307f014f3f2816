"""Check that the archives of a release hold what Git tracks, and nothing else.

python .ci/archives.py SDIST WHEEL
"""

import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = "src/bothways/"


def check(archive: str, found: Iterable[str], expected: Iterable[str]) -> None:
    """Exit with a message if an archive lacks a file, or holds one that it should not."""
    missing, surplus = set(expected) - set(found), set(found) - set(expected)
    if missing or surplus:
        sys.exit(
            f"{archive} lacks {sorted(missing)} and has {sorted(surplus)}; expected the files that "
            f"Git tracks. Commit or remove new files, and see [tool.hatch.build] in pyproject.toml."
        )


def main(sdist: str, wheel: str) -> None:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    tracked = listed.stdout.splitlines()

    with tarfile.open(sdist) as archive:
        names = [file.name.partition("/")[2] for file in archive if file.isfile()]
    check(sdist, names, [*tracked, "PKG-INFO"])

    names = zipfile.ZipFile(wheel).namelist()
    package = [name.replace(PACKAGE, "bothways/") for name in tracked if name.startswith(PACKAGE)]
    check(wheel, [name for name in names if ".dist-info/" not in name], package)


if __name__ == "__main__":
    main(*sys.argv[1:])
