"""The metrics of a finished run: the content of `metrics.json`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from pydantic import TypeAdapter

from bothways.evaluation.evaluate import Calibration
from bothways.evaluation.metrics import Metrics


@dataclass(frozen=True)
class RunMetrics:
    """Metrics of each split of the data, of the selected weights.

    Parameters
    ----------
    train : Metrics
    validation, test : Metrics, optional
        None if there is no such split.
    seed : int
        Seed of the training.
    epoch : int, optional
        The epoch that was selected on the validation set.
    calibration : Calibration, optional
    """

    train: Metrics
    validation: Metrics | None
    test: Metrics | None
    seed: int
    epoch: int | None = None
    calibration: Calibration | None = None

    @property
    def splits(self) -> dict[str, Metrics]:
        """The metrics by split."""
        named = {"train": self.train, "validation": self.validation, "test": self.test}
        return {split: metrics for split, metrics in named.items() if metrics is not None}

    def to_json(self) -> dict[str, Any]:
        """Return the content of `metrics.json`: None for a split that does not exist."""
        values: dict[str, Any] = dict.fromkeys(("train", "validation", "test"))
        values |= {
            split: metrics.to_json() | {"seed": self.seed} for split, metrics in self.splits.items()
        }
        if self.epoch is not None:
            values["validation"]["epoch"] = self.epoch
        if self.calibration is not None:
            values["validation"]["calibration"] = asdict(self.calibration)
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the metrics that `to_json` wrote.

        Raises
        ------
        ValueError
            If a value is missing or has the wrong type.
        """
        splits = {name: Metrics.from_json(v) for name, v in values.items() if v is not None}
        chosen = values.get("validation") or {}
        calibration = chosen.get("calibration")
        return TypeAdapter(cls).validate_python(
            {
                **dict.fromkeys(("train", "validation", "test")),
                **splits,
                "seed": (values.get("train") or {}).get("seed"),
                "epoch": chosen.get("epoch"),
                "calibration": calibration and {"bound": None, **calibration},
            }
        )
