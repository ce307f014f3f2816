"""Optional dependencies, imported when needed; an error names the extra to install."""

from importlib import import_module
from typing import Any

from bothways.errors import MissingDependencyError


def require(module: str, *, extra: str, purpose: str) -> Any:
    """Import and return a module of an optional package.

    Parameters
    ----------
    module : str
        "pyarrow.csv", for example.
    extra : str
        The extra of bothways that installs the package.
    purpose : str
        What needs the package, in the plural: "tables", for example.

    Raises
    ------
    MissingDependencyError
        If the package is not installed.
    """
    try:
        return import_module(module)
    except ImportError:
        package = module.partition(".")[0]
        package = {"PIL": "Pillow", "sklearn": "scikit-learn"}.get(package, package)
        raise MissingDependencyError(
            f"{purpose} need the package {package}, which is not installed. "
            f"Run: pip install 'bothways[{extra}]'"
        ) from None
