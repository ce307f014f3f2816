"""Without an optional package, each command works or names in one line what to install."""

import subprocess
import sys

import numpy as np
import pytest
from commands import run_command

from bothways.errors import MissingDependencyError
from bothways.optional import require

REPORT = {"matplotlib": "report", "jinja2": "report", "PIL": "report"}  # matplotlib needs PIL
NEEDS = {
    "--help": {},
    "recipes": {},
    "train waves.npz --out new --set epochs=1": {},
    "train waves.npz --out new --set tensorboard=true": {"tensorboard": "tensorboard"},
    "train waves.csv --out new --set epochs=1": {"pyarrow": "tables"},
    "train images --out new --set epochs=1": {"PIL": "images"},
    "inspect waves.npz": {},
    "inspect waves.csv": {"pyarrow": "tables"},
    "inspect run": {},
    "evaluate run": {},
    "predict run waves.npz": {},
    "predict pictures picture.png": {"PIL": "images"},
    "report run": REPORT,
    "report run pictures --force": {**REPORT, "scipy": "report"},
    "report run same --force": {**REPORT, "scipy": "report"},
    "export run --to run.onnx --force": {"onnx": "export", "onnxruntime": "export"},
    "export run --to run.c --force": {"jinja2": "export"},
    "compare waves.npz --rounds 2 --set epochs=1": {"sklearn": "sklearn", "scipy": "sklearn"},
    "bench --warm": {},
}
"""Each command, and the packages without which it cannot work, with their extras."""

SERVING = "serve run --port 0", ("fastapi", "uvicorn", "prometheus_client", "httptools")
"""A command that does not end, and what it needs."""

PACKAGES = {package for packages in NEEDS.values() for package in packages}
PACKAGES |= {"pandas", "polars", "aeon", "huggingface_hub", *SERVING[1]}

BLOCKED = """
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {package!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
assert {package!r} not in sys.modules
sys.meta_path.insert(0, Blocked())
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with data of several formats and two trained models."""
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
        pixels = rng.integers(0, 256, (28, 28)).astype(np.uint8)
        Image.fromarray(pixels).save(own / f"{n}.png")
    Image.fromarray(np.eye(28, dtype=np.uint8) * 255).save(folder / "picture.png")
    held_out = "waves.npz --test 0.25 --out"
    for command in (f"{held_out} run", f"{held_out} same", "images --out pictures"):
        result = run(folder, None, f"train {command} --set epochs=1")
        assert result.returncode == 0, result.stderr
    return folder


def run(folder, package, command):
    before = BLOCKED.format(package=package or "no_such_package")
    return run_command(*command.split(), folder=folder, before=before)


def check(folder, package, command, new):
    result = run(folder, package, command.replace("--out new", f"--out {new}"))
    assert "Traceback" not in result.stderr
    if package not in NEEDS[command]:
        assert result.returncode == 0, result.stderr
    else:
        assert result.returncode == 2
        (line,) = [line for line in result.stderr.splitlines() if "not installed" in line]
        assert f"Run: pip install 'bothways[{NEEDS[command][package]}]'" in line


@pytest.mark.parametrize("command", NEEDS)
@pytest.mark.parametrize("package", sorted(PACKAGES))
@pytest.mark.slow  # a hundred processes
def test_a_command_works_or_names_the_extra(folder, package, command, tmp_path):
    check(folder, package, command, tmp_path / "new")


NEEDED = [(package, command) for command, packages in NEEDS.items() for package in packages]
OTHERS = [
    ("PIL", "inspect waves.csv"),
    ("pyarrow", "inspect waves.npz"),
    ("sklearn", "recipes"),
    ("scipy", "report run"),
]


@pytest.mark.parametrize(("package", "command"), NEEDED + OTHERS)
def test_a_command_says_what_it_needs(folder, package, command, tmp_path):
    check(folder, package, command, tmp_path / "new")


@pytest.mark.parametrize("package", SERVING[1])
def test_the_server_says_what_it_needs(folder, package):
    result = run(folder, package, SERVING[0])
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert f"need the package {package}, which is not installed" in line
    assert "Run: pip install 'bothways[serve]'" in line


@pytest.mark.parametrize("package", ["matplotlib", "jinja2"])
def test_training_ends_without_a_report_where_its_packages_are_missing(folder, package, tmp_path):
    command = f"train waves.npz --out {tmp_path / 'run'} --set epochs=1"
    result = run(folder, package, command)
    assert result.returncode == 0
    assert f"no report: reports need the package {package}" in result.stderr
    assert "Run: pip install 'bothways[report]'" in result.stderr
    assert not (tmp_path / "run" / "report.html").exists()
    assert (tmp_path / "run" / "metrics.json").exists()


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
