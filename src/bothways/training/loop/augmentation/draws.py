"""Random numbers for a batch, on its device."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Draws:
    """A generator and its device.

    Parameters
    ----------
    generator : torch.Generator
    """

    generator: torch.Generator

    def uniform(self, *shape: int) -> Tensor:
        """Return numbers from 0 to 1, float32."""
        return torch.rand(
            shape, dtype=torch.float32, device=self.generator.device, generator=self.generator
        )

    def around_zero(self, limit: float, *shape: int) -> Tensor:
        """Return numbers from -limit to limit, float32."""
        return limit * (2 * self.uniform(*shape) - 1)

    def normal(self, deviation: float, *shape: int) -> Tensor:
        """Return normally distributed numbers, float32."""
        drawn = torch.randn(
            shape, dtype=torch.float32, device=self.generator.device, generator=self.generator
        )
        return deviation * drawn
