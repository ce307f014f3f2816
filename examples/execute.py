"""Execute notebooks and save their outputs: python examples/execute.py [NAME.ipynb ...].

Runs go to examples/runs. Close other programs first: the outputs show speeds.
"""

import os
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent


def main() -> None:
    """Execute the notebooks that are named, or all."""
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # !bothways
    for path in map(Path, sys.argv[1:] or sorted(HERE.glob("*.ipynb"))):
        print(path, flush=True)
        notebook = nbformat.read(path, as_version=4)
        resources = {"metadata": {"path": HERE}}
        NotebookClient(notebook, timeout=None, coalesce_streams=True, resources=resources).execute()
        for cell in notebook.cells:
            cell.metadata.pop("execution", None)  # times of day
            for output in cell.get("outputs", []):
                if "\nbothways:" in f"\n{output.get('text', '')}":  # errors of !bothways
                    sys.exit(output.text)
        nbformat.write(notebook, path)


if __name__ == "__main__":
    main()
