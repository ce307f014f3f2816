"""Counters of the work that the compiled engine has done in this process."""

from dataclasses import dataclass


@dataclass
class Counters:
    """Counts since the start of the process or the last `reset`.

    Parameters
    ----------
    forward, backward : int
        Calls; each runs all layers.
    row_steps : int
        Time steps computed forward, summed over rows, directions and layers, without padding.
    """

    forward: int = 0
    backward: int = 0
    row_steps: int = 0

    def reset(self) -> None:
        """Set all counts to zero."""
        self.forward = self.backward = self.row_steps = 0


counters = Counters()
