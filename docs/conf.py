"""How Sphinx builds the site: `make docs`."""

import sys
from pathlib import Path

from numpydoc.xref import DEFAULT_LINKS
from sphinx.application import Sphinx

import bothways
from bothways import errors

sys.path.insert(0, str(Path(__file__).parent))

project = "bothways"
author = "the bothways developers"
copyright = author
version = release = bothways.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_design",
    "extensions.generated",
]
exclude_patterns = ["build", "gallery/results.md"]
smartquotes = False  # they would change --option

# `make docs` demands that every reference resolves, except to packages whose inventories would need
# the network.
nitpick_ignore_regex = [
    (r"py:.*", r"(torch|numpy|np|pathlib|collections|typing|pydantic|Path)\b.*")
]

myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3
nb_merge_streams = True
nb_execution_mode = "off"  # the tests execute the notebooks; the site shows their saved outputs

autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_preserve_defaults = True
numpydoc_show_class_members = False
numpydoc_xref_param_type = True  # names of types are links
numpydoc_xref_ignore = "all"  # other words are not
numpydoc_xref_aliases = {
    **{name: f"bothways.{name}" for name in bothways.__all__},
    **{name: f"bothways.errors.{name}" for name in vars(errors) if name.endswith("Error")},
    "TrainingInterrupted": "bothways.errors.TrainingInterrupted",
    "Limits": "bothways.serve.Limits",
    "Metrics": "bothways.evaluation.metrics.Metrics",
    "Run": "bothways.training.run.Run",
}
DEFAULT_LINKS.clear()  # those to Python's own documentation would need the network
default_role = "code"

copybutton_prompt_text = "$ "
copybutton_line_continuation_character = "\\"

html_theme = "furo"
html_title = f"bothways {version}"
html_show_sphinx = False
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_search_scorer = str(Path(__file__).parent / "_static" / "scorer.js")

MADE_BY_FUNCTIONS = {
    "bothways.LabeledSequences",
    "bothways.SequenceBatch",
    "bothways.Sequences",
    "bothways.TrainedClassifier",
    "bothways.TrainedLabeler",
    "bothways.TrainedModel",
    "bothways.evaluation.metrics.Metrics",
    "bothways.training.run.Run",
}
"""Classes whose constructors users do not call: the reference shows no signature."""


def setup(app: Sphinx) -> None:
    """Hide the signatures of these classes."""

    def process(_: Sphinx, what: str, name: str, *__: object) -> tuple[str, str] | None:
        return ("", "") if what == "class" and name in MADE_BY_FUNCTIONS else None

    app.connect("autodoc-process-signature", process)
