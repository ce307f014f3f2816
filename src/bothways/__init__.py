"""Recurrent sequence classifiers: from labeled sequences to a model in use.

The public names are those of `bothways`, `bothways.nn` and `bothways.sklearn`; everything else is
internal and may change. Importing this package imports neither torch nor any optional package: each
public name is loaded when it is first used. `__init__.pyi` is the only list of them.
"""

from typing import Any

import lazy_loader

_load, _list, __all__ = lazy_loader.attach_stub(__name__, __file__)

_RENAMED = {"RecurrentLabeller": "RecurrentLabeler", "TrainedLabeller": "TrainedLabeler"}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("bothways")
    if name in _RENAMED:
        import warnings

        warnings.warn(
            f"bothways.{name} was renamed to {_RENAMED[name]}; the old name will be removed",
            FutureWarning,
            stacklevel=2,
        )
        name = _RENAMED[name]
    return _load(name)


def __dir__() -> list[str]:
    return [*_list(), "__version__"]
