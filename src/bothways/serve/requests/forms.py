"""The form of requests to one model: what its sequences consist of, and the JSON schema of that."""

from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, FailFast, Field, create_model

from bothways.data.offsets import LARGEST
from bothways.data.record import numbered_features
from bothways.models.manifest import Manifest
from bothways.pages.looks import reads_digits
from bothways.serve.limits import Limits

_Number = Annotated[float, Field(ge=-LARGEST, le=LARGEST, allow_inf_nan=False)]
_PlainName = Annotated[str, Field(max_length=1000)]


class RequestForm:
    """What requests to a model contain.

    Parameters
    ----------
    manifest : Manifest
    limits : Limits

    Attributes
    ----------
    features : tuple of str
        Names of the features, in the order of the values of a time step.
    vocabularies : dict
        For the index of each categorical feature, the number of each category, from 1.
    longest : int
        Largest number of steps of a sequence.
    reads_digits : bool
        Whether a sequence may be a picture of a digit.
    """

    def __init__(self, manifest: Manifest, limits: Limits) -> None:
        model = manifest.model
        reading = manifest.preprocessing.reading
        self.features = manifest.preprocessing.features or numbered_features(model.input_size)
        self.vocabularies = {
            self.features.index(name): {token: n for n, token in enumerate(tokens, start=1)}
            for name, tokens in reading.vocabularies.items()
        }
        self.accepts_missing = model.accepts_missing
        self.offsets = reading.offsets or ()
        self.limits = limits
        self.reads_digits = reads_digits(manifest)
        self.longest = min(limits.steps, model.sequence_length or limits.steps)

    @cached_property
    def body(self) -> type[BaseModel]:
        """The pydantic model of a JSON body: `sequence` or `sequences`."""
        number: Any = _Number | None if self.accepts_missing else _Number
        size = len(self.features)
        step: Any
        if self.vocabularies:
            values = [_PlainName | None if n in self.vocabularies else number for n in range(size)]
            step = tuple[tuple(values)]  # type: ignore[misc]
        else:
            step = Annotated[list[number], Field(min_length=size, max_length=size), FailFast()]
        sequence: Any = Annotated[
            list[step], Field(min_length=1, max_length=self.longest), FailFast()
        ]
        sequences: Any = Annotated[
            list[sequence], Field(min_length=1, max_length=self.limits.sequences), FailFast()
        ]
        return create_model(
            "PredictionRequest",
            __config__=ConfigDict(extra="forbid", strict=True),
            sequence=(sequence, Field(None, description="One sequence: its time steps.")),
            sequences=(sequences, Field(None, description="Several sequences.")),
        )

    def schema_of_one(self) -> dict[str, Any]:
        """Return the JSON schema of a body with one sequence."""
        schema = self.body.model_json_schema()
        schema["properties"] = {"sequence": schema["properties"]["sequence"]}
        schema["properties"]["sequence"].pop("default")
        return schema | {"title": "One sequence", "required": ["sequence"]}

    def schema(self) -> dict[str, Any]:
        """Return the JSON schema of a body with one sequence or several."""
        schema = self.body.model_json_schema()
        for name in ("sequence", "sequences"):
            schema["properties"][name].pop("default")
        return schema | {
            "title": "One sequence, or several",
            "description": f"A time step is a list of {len(self.features)} values: "
            f"{listed(self.features)}.",
            "oneOf": [{"required": ["sequence"]}, {"required": ["sequences"]}],
        }

    def example(self, kind: Literal["sequence", "sequences"] = "sequence") -> dict[str, Any]:
        """Return a body with one sequence of two steps."""
        step = [
            next(iter(self.vocabularies[n]), "") if n in self.vocabularies else 0.0
            for n in range(len(self.features))
        ]
        sequence = [step, step][: self.longest]
        return {kind: sequence if kind == "sequence" else [sequence]}


def listed(names: tuple[str, ...]) -> str:
    """Return names separated by commas, not all of many."""
    return ", ".join(names if len(names) <= 8 else (*names[:7], "…", names[-1]))
