"""Random numbers for a batch, or for those rows of it that a process computes."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


class Draws:
    """Random numbers from a generator.

    Of several processes that share a batch, each draws the numbers of the whole batch and takes
    those of its rows. The numbers of a row therefore do not depend on the number of processes.

    Parameters
    ----------
    generator : torch.Generator, optional
        Default: torch's default generator of the device.

    Attributes
    ----------
    rows : int64 Tensor (some,), optional
        The rows of the batch that this process computes; None: all.
    batch_size : int
        Rows of the whole batch; read only if `rows` is set.
    """

    def __init__(self, generator: torch.Generator | None = None) -> None:
        self.generator = generator
        self.rows: Tensor | None = None
        self.batch_size = 0

    def uniform(
        self, *shape: int, batch_axis: int = 0, device: torch.device | None = None
    ) -> Tensor:
        """Return numbers from 0 to 1, float32; `batch_axis` is the axis of the rows."""

        def draw(shape: Sequence[int]) -> Tensor:
            return torch.rand(
                shape, dtype=torch.float32, device=self._on(device), generator=self.generator
            )

        return self.of_rows(draw, shape, batch_axis)

    def normal(
        self,
        *shape: int,
        batch_axis: int = 0,
        dtype: torch.dtype = torch.float32,
        device: torch.device | None = None,
    ) -> Tensor:
        """Return numbers of the standard normal distribution."""

        def draw(shape: Sequence[int]) -> Tensor:
            return torch.randn(
                shape, dtype=dtype, device=self._on(device), generator=self.generator
            )

        return self.of_rows(draw, shape, batch_axis)

    def around_zero(self, limit: float, *shape: int, batch_axis: int = 0) -> Tensor:
        """Return numbers from -limit to limit, float32."""
        return limit * (2 * self.uniform(*shape, batch_axis=batch_axis) - 1)

    def of_rows(
        self, draw: Callable[[Sequence[int]], Tensor], shape: Sequence[int], batch_axis: int
    ) -> Tensor:
        """Return `draw(shape)`, or the part of the whole batch's numbers that has this shape."""
        if self.rows is None:
            return draw(shape)
        whole = (*shape[:batch_axis], self.batch_size, *shape[batch_axis + 1 :])
        drawn = draw(whole)
        return drawn.index_select(batch_axis, self.rows.to(drawn.device))

    @property
    def is_default(self) -> bool:
        """Whether these are the numbers that torch's own operators draw."""
        return self.generator is None and self.rows is None

    def _on(self, device: torch.device | None) -> torch.device | None:
        return device if self.generator is None else self.generator.device


DEFAULT_DRAWS = Draws()
"""The numbers of torch's default generators, for all rows."""
