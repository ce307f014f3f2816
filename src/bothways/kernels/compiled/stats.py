"""What the engine has done in this process, for tests and for the doubtful."""

from dataclasses import dataclass


@dataclass
class Counters:
    """Counts since the process began, or since `reset`.

    Parameters
    ----------
    forward, backward : int
        Calls, each through all layers.
    row_steps : int
        Steps computed forward, summed over rows, directions and layers. Padding is none.
    """

    forward: int = 0
    backward: int = 0
    row_steps: int = 0

    def reset(self) -> None:
        """Count from zero again."""
        self.forward = self.backward = self.row_steps = 0


counters = Counters()
