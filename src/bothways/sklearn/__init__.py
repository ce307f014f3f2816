"""scikit-learn estimators.

Here is the only place where the conventions of scikit-learn apply (`X`, `y`, trailing underscores).
The estimators train with the same code as the command line; that code belongs to
`bothways.training`.
"""

from bothways.sklearn.classifier import RecurrentClassifier
from bothways.sklearn.labeler import RecurrentLabeler

__all__ = ["RecurrentClassifier", "RecurrentLabeler"]
