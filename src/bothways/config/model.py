"""The complete configuration of a network, for particular data."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from bothways.config.architecture import Architecture
from bothways.errors import counted


class ModelConfig(Architecture):
    """Complete configuration of a classifier: an architecture for particular data.

    Parameters
    ----------
    input_size : int
        Number of features of a time step.
    num_classes : int
    categories : tuple of int
        For each feature, the number of categories; 0 if numeric. Empty if all features are numeric.
        In the inputs, categories are numbers from 1, and 0 is the unknown category.
    sequence_length : int, optional
        Number of time steps that readout `flatten` sees; required there, and only there.
    **architecture
        See `Architecture`.

    Examples
    --------
    >>> import torch
    >>> from bothways import SequenceClassifier
    >>> config = ModelConfig(cell="gru", hidden_size=8, input_size=3, num_classes=2)
    >>> SequenceClassifier(config)(torch.randn(4, 20, 3)).shape
    torch.Size([4, 2])
    """

    input_size: int = Field(ge=1)
    num_classes: int = Field(ge=2)
    categories: tuple[Annotated[int, Field(ge=0)], ...] = ()
    sequence_length: int | None = Field(default=None, ge=1)

    @classmethod
    def for_data(
        cls,
        architecture: Architecture,
        *,
        input_size: int,
        num_classes: int,
        longest: int,
        categories: tuple[int, ...] = (),
    ) -> "ModelConfig":
        """Return the configuration of an architecture for data of these sizes.

        Parameters
        ----------
        architecture : Architecture
        input_size, num_classes : int
        longest : int
            Time steps of the longest training sequence.
        categories : tuple of int
        """
        return cls(
            **architecture.model_dump(),
            input_size=input_size,
            num_classes=num_classes,
            categories=categories,
            sequence_length=longest if "flatten" in architecture.readouts else None,
        )

    @property
    def numeric_features(self) -> list[int]:
        """Indices of the features that are not categorical."""
        categories = self.categories or (0,) * self.input_size
        return [n for n, count in enumerate(categories) if not count]

    @property
    def categorical_features(self) -> list[int]:
        """Indices of the categorical features."""
        return [n for n, count in enumerate(self.categories) if count]

    @property
    def encoded_numeric_size(self) -> int:
        """Number of features that preprocessing makes of the numeric ones."""
        # A list of the numeric features would not fit in memory if a damaged file has a huge size.
        numeric = self.input_size - len(self.categorical_features)
        return numeric * (len(self.views) + (self.missing == "mask"))

    @property
    def encoded_size(self) -> int:
        """Number of features that preprocessing makes of one time step, embeddings included."""
        return self.encoded_numeric_size + sum(self.embedding_sizes)

    @property
    def embedding_sizes(self) -> list[int]:
        """Size of the embedding vectors of each of the `categorical_features`."""
        return [min(self.embedding_size, count) for count in self.categories if count]

    @model_validator(mode="after")
    def _check_data(self) -> Self:
        if ("flatten" in self.readouts) != (self.sequence_length is not None):
            raise ValueError(
                f"sequence_length is {self.sequence_length} but readout is {self.readout!r}; "
                "expected a length with 'flatten' and none otherwise. Set both or neither."
            )
        if self.categories and len(self.categories) != self.input_size:
            raise ValueError(
                f"categories has {counted(len(self.categories), 'entry')} but input_size is "
                f"{self.input_size}; expected one entry for each feature."
            )
        return self
