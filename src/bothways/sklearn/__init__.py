"""scikit-learn estimators.

Here is the only place where the conventions of scikit-learn apply (`X`, `y`, trailing underscores).
The estimators train with the same code as the command line; that code belongs to
`bothways.training`.
"""

# ruff: noqa: E402 - say what to install before anything is imported that needs it
from bothways.optional import require

require("sklearn", extra="sklearn", purpose="the estimators")

from bothways.sklearn.classifier import RecurrentClassifier
from bothways.sklearn.labeler import RecurrentLabeler

__all__ = ["RecurrentClassifier", "RecurrentLabeler"]
