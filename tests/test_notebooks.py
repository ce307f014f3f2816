"""The notebooks in examples/ run from the first cell to the last, with small networks."""

import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

EXAMPLES = Path(__file__).parents[1] / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))
SMALL = 'hyperparameters |= {"hidden_size": 4, "epochs": 1}'
"""A cell after the one with the hyperparameters."""

SHORTER = {
    '"hidden_size": 64': '"hidden_size": 4',
    '"epochs": 2}': '"epochs": 1}',
    "--test 0.2 ": "--test 0.2 --set hidden_size=4 --set steps=20 ",
    "--rounds 3": "--rounds 2 --set hidden_size=4 --set steps=20",
    ", 30)": ", 3)",
}
"""What is replaced in all cells."""


def test_notebooks_are_found():
    assert len(NOTEBOOKS) >= 8


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path, tmp_path, monkeypatch):
    notebook = nbformat.read(path, as_version=4)
    for place, cell in enumerate(notebook.cells):
        for text, shorter in SHORTER.items():
            cell.source = cell.source.replace(text, shorter)
        if "parameters" in cell.metadata.get("tags", []):
            notebook.cells.insert(place + 1, nbformat.v4.new_code_cell(SMALL))
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLES), prepend=":")
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")  # !bothways
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # other tests run at the same time
    NotebookClient(notebook, timeout=280, resources={"metadata": {"path": tmp_path}}).execute()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_those_of_the_whole_notebook_in_order(path):
    cells = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not any(output.output_type == "error" for cell in cells for output in cell.outputs)
    assert path.stat().st_size < 1_000_000
