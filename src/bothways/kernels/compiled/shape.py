"""The shape of a call, and the sizes and strides that follow from it."""

from dataclasses import dataclass

from bothways.kernels.cells import Cell
from bothways.kernels.compiled.instruction_sets import InstructionSet
from bothways.kernels.compiled.structs import LINE_FLOATS

# Multiply-adds of a step per thread; with fewer, packed weights on one thread are faster than
# synchronizing the threads at each step.
_MIN_SHARE_WORK = 16_000
# Multiply-adds of a step from which each thread may run one direction, and the largest number of
# recurrent weights. With fewer multiply-adds, packed weights on one thread are as fast; with more
# weights, they exceed the second-level cache.
_MIN_SCAN_WORK, _MAX_SCAN_WEIGHTS = 4_000, 300_000


@dataclass(frozen=True)
class Shape:
    """Everything that a layout depends on, except the lengths of ragged rows.

    Parameters
    ----------
    cell : Cell
    num_layers, num_directions, input_size, hidden_size, time, batch_size : int
    threads : int
        The batch is divided into this many parts, or one per row if it has fewer rows.
    keep : bool
        Whether a backward pass may follow.
    last : bool
        Whether only the output at the last step of each row is needed.
    initial : bool
        Whether initial states were passed.
    d_inputs : bool
        Whether the gradient of the inputs may be needed.
    packed : bool
        Whether the weights have been packed before the call.
    instructions : InstructionSet
    """

    cell: Cell
    num_layers: int
    num_directions: int
    input_size: int
    hidden_size: int
    time: int
    batch_size: int
    threads: int
    keep: bool
    last: bool
    initial: bool
    d_inputs: bool
    packed: bool
    instructions: InstructionSet

    @property
    def gates_size(self) -> int:
        """Size of all gates of one time step."""
        return len(self.cell.gates) * self.hidden_size

    @property
    def features(self) -> int:
        """Size of the outputs of a layer at one time step."""
        return self.num_directions * self.hidden_size

    @property
    def gates_width(self) -> int:
        """Stride between rows of gates; the elementwise code may write past a short last gate."""
        return row_stride(self.gates_size - self.hidden_size + round_to_lines(self.hidden_size))

    @property
    def outputs_width(self) -> int:
        """Stride between rows of outputs; the code may write past a short last direction."""
        return row_stride(self.features - self.hidden_size + round_to_lines(self.hidden_size))

    @property
    def num_scans(self) -> int:
        """Number of layers times number of directions."""
        return self.num_layers * self.num_directions

    @property
    def shares(self) -> int:
        """Number of threads that share the work; 0 if each thread runs different rows instead."""
        few = self.batch_size == 1 or (self.batch_size < self.threads and not self.keep)
        # Threads that share the work read the weights as they are: not packed, and in float32.
        if self.packed or self.instructions.precision != "float32" or not few:
            return 0
        shares = self.num_directions if self.scan_shares else self._step_shares
        return shares if self.batch_size == 1 or shares > 1 else 0

    @property
    def scan_shares(self) -> bool:
        """Whether each share is one direction rather than some hidden units of each step.

        The threads then need no synchronization at each step, but the recurrent weights of a whole
        direction must stay in the second-level cache of one core. Below one vector of hidden units,
        stored outputs of the forward direction reach into those of the backward direction, which
        must therefore run later.
        """
        return (
            self.hidden_size >= self.instructions.lanes
            and self._step_shares <= self.num_directions == 2 <= self.threads
            and self._step_work >= _MIN_SCAN_WORK
            and self.gates_size * self.hidden_size <= _MAX_SCAN_WEIGHTS
        )

    @property
    def _step_work(self) -> int:
        """Multiply-adds of one time step of one direction with `weight_hh`."""
        return self.gates_size * self.hidden_size * self.batch_size

    @property
    def _step_shares(self) -> int:
        """Number of threads among which a step can be divided."""
        blocks = -(-self.hidden_size // self.instructions.lanes)
        return min(self.threads, blocks, self._step_work // _MIN_SHARE_WORK)

    def input_size_of(self, layer: int) -> int:
        """Return the number of input features of `layer`."""
        return self.features if layer else self.input_size


def round_to_lines(floats: int) -> int:
    """Return a size rounded up to whole cache lines, which contain a whole number of vectors."""
    return -(-floats // LINE_FLOATS) * LINE_FLOATS


def row_stride(floats: int) -> int:
    """Return the stride between rows of a matrix, in whole cache lines.

    Strides of whole kilobytes are extended by a line: such rows would share few sets of the cache.
    """
    width = round_to_lines(floats)
    return width + LINE_FLOATS if width % 256 == 0 else width
