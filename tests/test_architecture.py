"""Imports run one way, and optional packages stay out until they are used."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "bothways"

# A module imports only from rows above its own, or from modules named before it in its own row.
ROWS = [
    ["errors", "process", "checks"],
    ["cells", "config", "metrics", "segments", "storage", "history"],
    ["ragged", "batching", "step_store", "sequences", "scans", "data", "kernels", "recipes"],
    ["encoder", "stem", "calibration", "layers", "nn", "readout", "bench"],
    ["model"],
    ["device", "optimization", "evaluation", "training", "checkpoint", "model_card", "inference"],
    ["convert", "prediction", "progress", "run_folder", "provenance", "splits", "run"],
    ["estimator", "classifier", "labeller", "baselines", "compare"],
    ["console", "commands", "data_arguments", "cli", "__main__"],
]
PLACE = {name: (row, n) for row, names in enumerate(ROWS) for n, name in enumerate(names)}
COMPILED = {f"kernels/compiled/{path.name}" for path in SOURCE.glob("kernels/compiled/*.py")}
ADAPTED_IN = {
    "PIL": {"data/images.py"},
    "sklearn": {"estimator.py", "classifier.py", "labeller.py", "baselines.py"},
    "scipy": {"compare.py"},
    "aeon": {"baselines.py"},
    "pyarrow": {"data/columns.py", "data/tables.py"},
    "typer": {"cli.py", "commands.py", "data_arguments.py"},
    "rich": {"console.py"},
    "numba": COMPILED,
    "llvmlite": COMPILED,
}


def modules():
    return sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")


def imports_of(path):
    """Yield every module that a file names in an import, at its top or inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.module == "bothways":
                yield from (f"bothways.{alias.name}" for alias in node.names)
            else:
                yield str(node.module)


def room_of(path):
    relative = path.relative_to(SOURCE)
    return relative.parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_run_one_way(path):
    own = room_of(path)
    for name in imports_of(path):
        parts = name.split(".")
        if parts[0] == "bothways" and len(parts) > 1 and parts[1] != own:
            assert PLACE[parts[1]] < PLACE[own], f"{path.name} imports {name}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_optional_packages_are_imported_where_they_are_adapted(path):
    relative = path.relative_to(SOURCE).as_posix()
    for name in imports_of(path):
        allowed = ADAPTED_IN.get(name.split(".")[0])
        assert allowed is None or relative in allowed, f"{relative} imports {name}"


def modules_after(code):
    command = [sys.executable, "-c", f"{code}; import sys; print(*sys.modules)"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def test_importing_bothways_imports_no_heavy_package():
    loaded = modules_after("import bothways; dir(bothways)")
    heavy = {"torch", "numpy", "pydantic", "safetensors", "typer", "rich", "tqdm", "PIL", "sklearn"}
    heavy |= {"numba", "llvmlite"}
    assert not heavy & loaded


def test_a_recurrent_layer_imports_no_compiler_before_it_runs():
    loaded = modules_after("import bothways.nn; bothways.nn.LSTM(3, 4)")
    assert not {"numba", "llvmlite"} & loaded


def test_the_command_line_starts_without_torch():
    assert "torch" not in modules_after("import bothways.cli")


def test_public_names_are_all_there():
    import bothways

    for name in bothways.__all__:
        assert getattr(bothways, name) is not None
    assert re.fullmatch(r"\d+\.\d+\.\d+", bothways.__version__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = bothways.nothing
