"""What a cell does to one row's next few hidden units, forwards and backwards.

Each function works on as many units as a vector has lanes, or on the first `active` of them.
`gates` points at these units in the
row's first gate; the next gate lies `gate_step` floats further on. Forwards, the gates' sums go in
and their values stay for the backward pass, which leaves the sums' gradients in their place.
Equations as in `kernels/reference.py`, gate order as in `cells.py`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from llvmlite import ir
from numba import types

from bothways.kernels.cells import GRU, LSTM, RNN_RELU, RNN_TANH, Cell
from bothways.kernels.compiled.codegen.vectors import INT64, Vectors, offset, pointer
from bothways.kernels.compiled.jit import intrinsic


class Pointwise(NamedTuple):
    """A cell's two functions.

    forward(gates, gate_step, from_hidden, memory, hidden, cell, output, active)
    backward(gates, gate_step, memory, before, d_output, d_hidden, d_cell, d_bias, bias_step,
             active)

    All but steps and `active` are addresses; each cell uses those it needs:

    from_hidden : GRU, W_hh h + b_hh of this step; in other cells `gates` has it already
    memory : LSTM, c before the step; GRU, W_hn h + b_hn, and on return its gradient
    before : GRU, h before the step
    hidden, cell : h and c, on return after the step
    output : where h is written once more
    d_output, d_hidden, d_cell : gradients of the step's output, and of h and c after it; on return
        `d_hidden` and `d_cell` hold what passes by the weights to h and c before the step
    d_bias : gains the sums' gradients, gates `bias_step` apart; a GRU's hidden side is a fourth
    """

    forward: Callable[..., None]
    backward: Callable[..., None]


class _Row:
    """The operands of one call, as vectors."""

    def __init__(
        self, builder: ir.IRBuilder, write: Vectors, gate_step: Any, bias_step: Any = None
    ) -> None:
        self.builder = builder
        self.write = write
        self.gate_step = gate_step
        self.bias_step = bias_step

    def _at(self, start: Any, step: Any, n: int) -> Any:
        return offset(self.builder, start, self.builder.mul(step, INT64(n)))

    def load_gates(self, gates: Any, count: int) -> list[Any]:
        """Load the first `count` gates."""
        return [self.write.load(self._at(gates, self.gate_step, n)) for n in range(count)]

    def store_gates(self, values: list[Any], gates: Any) -> None:
        """Store `values` over the first gates, in order: one may spill into the next."""
        for n, value in enumerate(values):
            self.write.store(value, self._at(gates, self.gate_step, n))

    def add_to_bias(self, values: list[Any], sums: Any) -> None:
        """Add `values` to running sums, a gate each."""
        for n, value in enumerate(values):
            place = self._at(sums, self.bias_step, n)
            self.write.store(self.write.add(self.write.load(place), value), place)

    def slope_of_sigmoid(self, s: Any) -> Any:
        """Return s (1 - s)."""
        return self.write.multiply(s, self.write.complement(s))

    def slope_of_tanh(self, t: Any) -> Any:
        """Return 1 - t^2."""
        return self.write.complement(self.write.multiply(t, t))


def _lstm_forward(
    row: _Row, gates: Any, _: Any, memory: Any, hidden: Any, cell: Any, output: Any
) -> None:
    write = row.write
    multiply = write.multiply
    i_sum, f_sum, g_sum, o_sum = row.load_gates(gates, 4)
    i_divisor, f_divisor = write.sigmoid_divisor(i_sum), write.sigmoid_divisor(f_sum)
    g_numerator, g_divisor = write.tanh_fraction(g_sum)
    # A division takes as long as ten multiplications: i, f and g share one, o and tanh(c) another.
    f_times_g = multiply(f_divisor, g_divisor)
    shared = write.reciprocal(multiply(i_divisor, f_times_g))
    i = write.saturated_sigmoid(i_sum, multiply(shared, f_times_g))
    shared = multiply(shared, i_divisor)  # 1 / (f's times g's)
    f = write.saturated_sigmoid(f_sum, multiply(shared, g_divisor))
    g = write.saturated_tanh(g_sum, multiply(g_numerator, multiply(shared, f_divisor)))
    before = write.load(cell)
    after = write.fma(f, before, multiply(i, g))
    o_divisor = write.sigmoid_divisor(o_sum)
    t_numerator, t_divisor = write.tanh_fraction(after)
    shared = write.reciprocal(multiply(o_divisor, t_divisor))
    o = write.saturated_sigmoid(o_sum, multiply(shared, t_divisor))
    t = write.saturated_tanh(after, multiply(t_numerator, multiply(shared, o_divisor)))
    h = multiply(o, t)
    row.store_gates([i, f, g, o], gates)
    write.store(before, memory)
    write.store(after, cell)
    write.store(h, hidden)
    write.store(h, output)


def _lstm_backward(
    row: _Row,
    gates: Any,
    memory: Any,
    _: Any,
    d_output: Any,
    d_hidden: Any,
    d_cell: Any,
    d_bias: Any,
) -> None:
    write = row.write
    i, f, g, o = row.load_gates(gates, 4)
    before = write.load(memory)
    squashed = write.tanh(write.fma(f, before, write.multiply(i, g)))
    d_h = write.add(write.load(d_output), write.load(d_hidden))
    d_c = write.fma(write.multiply(d_h, o), row.slope_of_tanh(squashed), write.load(d_cell))
    d_gates = [
        write.multiply(write.multiply(d_c, g), row.slope_of_sigmoid(i)),
        write.multiply(write.multiply(d_c, before), row.slope_of_sigmoid(f)),
        write.multiply(write.multiply(d_c, i), row.slope_of_tanh(g)),
        write.multiply(write.multiply(d_h, squashed), row.slope_of_sigmoid(o)),
    ]
    write.store(write.multiply(d_c, f), d_cell)
    row.store_gates(d_gates, gates)
    row.add_to_bias(d_gates, d_bias)


def _gru_forward(
    row: _Row, gates: Any, from_hidden: Any, memory: Any, hidden: Any, _: Any, output: Any
) -> None:
    write = row.write
    r, z, n = row.load_gates(gates, 3)
    r_hidden, z_hidden, n_hidden = row.load_gates(from_hidden, 3)
    r_sum, z_sum = write.add(r, r_hidden), write.add(z, z_hidden)
    r_divisor, z_divisor = write.sigmoid_divisor(r_sum), write.sigmoid_divisor(z_sum)
    shared = write.reciprocal(write.multiply(r_divisor, z_divisor))  # one division for both
    r = write.saturated_sigmoid(r_sum, write.multiply(shared, z_divisor))
    z = write.saturated_sigmoid(z_sum, write.multiply(shared, r_divisor))
    n = write.tanh(write.fma(r, n_hidden, n))
    before = write.load(hidden)
    h = write.fma(z, before, write.multiply(write.complement(z), n))
    row.store_gates([r, z, n], gates)
    write.store(n_hidden, memory)
    write.store(h, hidden)
    write.store(h, output)


def _gru_backward(
    row: _Row,
    gates: Any,
    memory: Any,
    before: Any,
    d_output: Any,
    d_hidden: Any,
    _: Any,
    d_bias: Any,
) -> None:
    write = row.write
    r, z, n = row.load_gates(gates, 3)
    n_hidden, h = write.load(memory), write.load(before)
    d_h = write.add(write.load(d_output), write.load(d_hidden))
    d_n = write.multiply(write.multiply(d_h, write.complement(z)), row.slope_of_tanh(n))
    d_z = write.multiply(write.multiply(d_h, write.subtract(h, n)), row.slope_of_sigmoid(z))
    d_r = write.multiply(write.multiply(d_n, n_hidden), row.slope_of_sigmoid(r))
    d_n_hidden = write.multiply(d_n, r)
    write.store(write.multiply(d_h, z), d_hidden)
    row.store_gates([d_r, d_z, d_n], gates)
    write.store(d_n_hidden, memory)
    row.add_to_bias([d_r, d_z, d_n, d_n_hidden], d_bias)


def _make_rnn_forward(activation: str) -> Callable[..., None]:
    def forward(
        row: _Row, gates: Any, _: Any, memory: Any, hidden: Any, cell: Any, output: Any
    ) -> None:
        write = row.write
        total = write.load(gates)
        if activation == "tanh":
            h = write.tanh(total)
        else:  # a NaN is not below 0 and stays
            zero = write.constant(0.0)
            h = write.where("<", total, zero, zero, total)
        for place in (gates, hidden, output):
            write.store(h, place)

    return forward


def _make_rnn_backward(activation: str) -> Callable[..., None]:
    def backward(
        row: _Row,
        gates: Any,
        memory: Any,
        before: Any,
        d_output: Any,
        d_hidden: Any,
        d_cell: Any,
        d_bias: Any,
    ) -> None:
        write = row.write
        h = write.load(gates)
        d_h = write.add(write.load(d_output), write.load(d_hidden))
        if activation == "tanh":
            d_total = write.multiply(d_h, row.slope_of_tanh(h))
        else:
            zero = write.constant(0.0)
            d_total = write.where("<=", h, zero, zero, d_h)
        write.store(d_total, gates)
        row.add_to_bias([d_total], d_bias)

    return backward


_EMITTERS = {
    RNN_TANH: (_make_rnn_forward("tanh"), _make_rnn_backward("tanh")),
    RNN_RELU: (_make_rnn_forward("relu"), _make_rnn_backward("relu")),
    GRU: (_gru_forward, _gru_backward),
    LSTM: (_lstm_forward, _lstm_backward),
}


def make_pointwise(cell: Cell, lanes: int, *, masked: bool) -> Pointwise:
    """Return `cell`'s functions for vectors of `lanes`, callable from compiled code.

    Unmasked, `active` counts for nothing.
    """
    emit_forward, emit_backward = _EMITTERS[cell]

    def writer(builder: ir.IRBuilder, active: Any) -> Vectors:
        return Vectors(builder, lanes, active if masked else None)

    @intrinsic
    def forward(
        context: Any,
        gates: Any,
        gate_step: Any,
        from_hidden: Any,
        memory: Any,
        hidden: Any,
        cell: Any,
        output: Any,
        active: Any,
    ) -> Any:
        def emit(_: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
            gates, gate_step, *others, active = arguments
            row = _Row(builder, writer(builder, active), gate_step)
            emit_forward(row, *(pointer(builder, address) for address in (gates, *others)))

        return types.void(*[types.int64] * 8), emit

    @intrinsic
    def backward(
        context: Any,
        gates: Any,
        gate_step: Any,
        memory: Any,
        before: Any,
        d_output: Any,
        d_hidden: Any,
        d_cell: Any,
        d_bias: Any,
        bias_step: Any,
        active: Any,
    ) -> Any:
        def emit(_: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
            gates, gate_step, *others, bias_step, active = arguments
            row = _Row(builder, writer(builder, active), gate_step, bias_step)
            emit_backward(row, *(pointer(builder, address) for address in (gates, *others)))

        return types.void(*[types.int64] * 10), emit

    return Pointwise(forward, backward)
