"""Imports go one way, as `docs/architecture.md` shows, and optional packages load late."""

import ast
import html
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "bothways"
PAGE = (ROOT / "docs" / "architecture.md").read_text()

ADAPTED_IN = {
    "PIL": {"data.readers.images"},
    "sklearn": {"sklearn.*", "model_selection.baselines"},
    "scipy": {"model_selection.compare", "report.paired"},
    "aeon": {"model_selection.baselines"},
    "pyarrow": {"data.readers.tables.arrow"},
    "matplotlib": {"report.svg", "report.charts", "report.drawings"},
    "tensorboard": {"training.tensorboard"},
    "fastapi": {"serve.*"},
    "starlette": {"serve.*"},
    "uvicorn": {"serve.*"},
    "httptools": {"serve.*"},
    "prometheus_client": {"serve.metrics"},
    "typer": {"cli.app", "cli.errors", "cli.data_options", "cli.help", "cli.commands.*"},
    "rich": {"cli.tables"},
    "onnx": {"export.onnx.nodes", "models.onnx_model"},
    "onnxruntime": {"export.onnx.quantization", "models.onnx_model"},
    "huggingface_hub": {"models.hub"},
    "jinja2": {"export.c.source", "report.write"},
    "numba": {"kernels.compiled.*", "kernels.compiled.codegen.*"},
    "llvmlite": {"kernels.compiled.*", "kernels.compiled.codegen.*"},
}


MODULES = {
    ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in SOURCE.rglob("*.py")
    if path != SOURCE / "__init__.py"
}
"""Every file by its name below `bothways`: "data.readers.ts", or "data" for an `__init__`."""


def listed_order():
    """Return every module in the order of the page's list.

    A row is a folder and its content, or a module of its own. A subfolder's content, and then its
    `__init__`, which may import all of it, stand where the row of its parent names the subfolder.
    """
    block = re.search(r"```text\n(.*?)```", PAGE, re.DOTALL)[1]
    rows = {row.split()[0]: row.split()[1:] for row in block.splitlines()}

    def expand(entry):
        if entry.endswith("/"):
            for inner in rows[entry]:
                yield from expand(entry + inner)
        yield entry.strip("/").replace("/", ".")

    top = [entry for entry in rows if "/" not in entry.strip("/")]
    return [name for entry in top for name in expand(entry)]


ORDER = {name: position for position, name in enumerate(listed_order())}


def drawn_arrows(name):
    """Return the arrows of the page's drawing, or of its source: pairs of packages."""
    text = html.unescape((ROOT / "docs" / "images" / name).read_text())
    return set(re.findall(r"^(?:  |<title>)(\w+) ?-> ?(\w+)", text, re.MULTILINE))


def imports_of(name):
    """Yield what a module imports, at its top or inside functions."""
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full.removeprefix("bothways.") in MODULES else str(node.module)


def own_imports_of(name):
    """Yield the modules of this package that a module imports, by their name in `MODULES`."""
    for imported in imports_of(name):
        if imported.startswith("bothways."):
            yield imported.removeprefix("bothways.")


def arrows_of_imports():
    """Return which packages import which, without the arrows that others imply."""
    reach = {name.split(".")[0]: set() for name in MODULES}
    for name in MODULES:
        package = name.split(".")[0]
        reach[package] |= {own.split(".")[0] for own in own_imports_of(name)} - {package}
    direct = {package: set(found) for package, found in reach.items()}
    for package in sorted(reach, key=lambda package: ORDER[package]):  # from the bottom up
        for below in direct[package]:
            reach[package] |= reach[below]
    return {
        (package, below)
        for package, found in direct.items()
        for below in found
        if not any(below in reach[other] for other in found if other != below)
    }


def test_every_module_is_on_the_page():
    assert set(ORDER) == set(MODULES)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_a_module_imports_only_earlier_modules(name):
    for imported in own_imports_of(name):
        assert ORDER[imported] < ORDER[name], f"{name} imports {imported}"


@pytest.mark.parametrize("name", ["packages.dot", "packages.svg"])
def test_the_drawing_matches_the_imports(name):
    assert drawn_arrows(name) == arrows_of_imports()


@pytest.mark.parametrize("folder", sorted({path.parent for path in MODULES.values()}))
def test_folders_have_at_most_16_modules(folder):
    assert len(list(folder.glob("*.py"))) <= 16


@pytest.mark.parametrize("name", [name for name in sorted(MODULES) if name != "__main__"])
def test_optional_packages_are_imported_only_by_their_adapters(name):
    for imported in imports_of(name):
        allowed = ADAPTED_IN.get(imported.split(".")[0])
        places = [name, f"{name.rpartition('.')[0]}.*", f"{name.split('.')[0]}.*"]
        assert allowed is None or allowed & set(places), f"{name} imports {imported}"


def modules_after(code):
    command = [sys.executable, "-c", f"{code}; import sys; print(*sys.modules)"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def test_importing_bothways_imports_no_heavy_package():
    loaded = modules_after("import bothways; dir(bothways)")
    heavy = {"torch", "numpy", "pydantic", "safetensors", "typer", "rich", "tqdm", "PIL", "sklearn"}
    heavy |= {"numba", "llvmlite"}
    assert "bothways" in loaded
    assert not heavy & loaded


def test_a_recurrent_layer_imports_no_compiler_before_it_runs():
    loaded = modules_after("import bothways.nn; bothways.nn.LSTM(3, 4)")
    assert "torch" in loaded
    assert not {"numba", "llvmlite"} & loaded


def test_the_command_line_starts_without_torch():
    assert "torch" not in modules_after("import bothways.cli.main")


def test_public_names_are_defined_in_the_package():
    import bothways

    assert len(bothways.__all__) > 10
    for name in set(bothways.__all__) - {"__version__"}:
        found = getattr(bothways, name)
        assert found.__name__ == name
        assert found.__module__.removeprefix("bothways.") in MODULES
    assert re.fullmatch(r"\d+\.\d+\.\d+", bothways.__version__)
    with pytest.raises(AttributeError, match="nothing"):
        _ = bothways.nothing
