"""Without an optional package, each command works, or says in one line what to install."""

import subprocess
import sys

import numpy as np
import pytest

from bothways.errors import MissingDependencyError
from bothways.optional import require

PACKAGES = {
    "PIL": "images",
    "pyarrow": "tables",
    "sklearn": "sklearn",
    "scipy": "sklearn",
    "pandas": None,
    "polars": None,
    "aeon": None,
}
COMMANDS = [
    "--help",
    "recipes",
    "train waves.npz --out new --set epochs=1",
    "train waves.csv --out new --set epochs=1",
    "train images --out new --set epochs=1",
    "inspect waves.npz",
    "inspect waves.csv",
    "inspect run",
    "evaluate run",
    "predict run waves.npz",
    "predict run picture.png",
    "compare waves.npz --rounds 1 --set epochs=1",
    "bench --warm",
]
BLOCKED = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {package!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocked())
from bothways.cli.main import main
sys.argv = ["bothways", *{command!r}.split()]
main()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with data of several formats and a trained model."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("optional")
    rng = np.random.default_rng(0)
    labels = np.arange(24) % 2
    inputs = rng.normal(labels[:, None, None], 1, (24, 9, 1)).astype(np.float32)
    np.savez(folder / "waves.npz", inputs=inputs, labels=labels)
    rows = [
        f"s{n},{t},{x:.3f},{'ab'[labels[n]]}"
        for n, values in enumerate(inputs[:, :, 0])
        for t, x in enumerate(values)
    ]
    (folder / "waves.csv").write_text("\n".join(["id,t,x,label", *rows]))
    for n in range(8):
        own = folder / "images" / "ab"[n % 2]
        own.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (8, 8)).astype(np.uint8)
        Image.fromarray(pixels).save(own / f"{n}.png")
    Image.fromarray(np.full((8, 8), 7, np.uint8)).save(folder / "picture.png")
    run(folder, None, "train waves.npz --out run --set epochs=1")
    return folder


def run(folder, package, command):
    code = BLOCKED.format(package=package or "no_such_package", command=command)
    arguments = [sys.executable, "-W", "ignore", "-c", code]
    return subprocess.run(arguments, cwd=folder, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.slow  # a hundred processes; the commands that do need a package are tested below
def test_a_command_works_or_names_the_extra(folder, package, command, tmp_path):
    command = command.replace("--out new", f"--out {tmp_path / 'new'}")
    result = run(folder, package, command)
    if result.returncode == 0:
        return
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    if "picture.png" not in command or "not installed" in result.stderr:
        assert f"pip install 'bothways[{PACKAGES[package]}]'" in result.stderr
    assert len(result.stderr.strip().splitlines()[-1:]) == 1


MISSING = [
    ("PIL", "train images --out new"),
    ("PIL", "predict run picture.png"),
    ("pyarrow", "train waves.csv --out new"),
    ("pyarrow", "inspect waves.csv"),
    ("sklearn", "compare waves.npz"),
    ("scipy", "compare waves.npz --rounds 2 --set epochs=1"),
]
WORKING = [("PIL", "inspect waves.csv"), ("pyarrow", "inspect waves.npz"), ("sklearn", "recipes")]


@pytest.mark.parametrize(("package", "command"), WORKING)
def test_what_needs_no_package_works_without_it(folder, package, command):
    assert run(folder, package, command).returncode == 0


@pytest.mark.parametrize(("package", "command"), MISSING)
def test_what_needs_a_package_says_so_in_one_line(folder, package, command):
    result = run(folder, package, command)
    assert result.returncode == 2
    (line,) = [line for line in result.stderr.splitlines() if "not installed" in line]
    assert f"Run: pip install 'bothways[{PACKAGES[package]}]'" in line


def test_the_estimators_name_their_extra(folder):
    code = "import sys; sys.modules['sklearn'] = None; from bothways import RecurrentClassifier"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "the estimators need the package scikit-learn, which is not installed" in result.stderr


def test_require_returns_the_module_or_names_the_extra():
    assert require("json.decoder", extra="x", purpose="y").__name__ == "json.decoder"
    with pytest.raises(
        MissingDependencyError, match=r"maps need the package no_such, .*bothways\[z"
    ):
        require("no_such.part", extra="z", purpose="maps")
