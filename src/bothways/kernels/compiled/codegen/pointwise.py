"""The elementwise part of a cell for one row and one vector of hidden units, forward and backward.

Each function processes as many units as a vector has lanes, or the first `active` of them. `gates`
points to these units in the first gate of the row; the next gate is `gate_step` floats further. The
forward function replaces the pre-activations by the gates, and the backward function replaces the
gates by the gradients of the pre-activations. The equations are those of `kernels/reference.py`,
the gate order is that of `cells.py`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from llvmlite import ir
from numba import types

from bothways.kernels.cells import GRU, LSTM, RNN_RELU, RNN_TANH, Cell
from bothways.kernels.compiled.codegen.vectors import INT64, Vectors, offset, pointer
from bothways.kernels.compiled.jit import intrinsic


class Pointwise(NamedTuple):
    """The two functions of a cell.

    forward(gates, gate_step, from_hidden, memory, hidden, cell, output, active)
    backward(gates, gate_step, memory, before, d_output, d_hidden, d_cell, d_bias, bias_step,
             active)

    All arguments except the steps and `active` are addresses. Each cell uses some of them:

    from_hidden : W_hh h + b_hh of this step, for a GRU; other cells have it in `gates`
    memory : LSTM: c before the step; GRU: W_hn h + b_hn, replaced by its gradient in backward
    before : h before the step, for a GRU
    hidden, cell : h and c before the step, replaced by those after the step
    output : receives a copy of h
    d_output, d_hidden, d_cell : gradients of the output, and of h and c after the step; on return,
        `d_hidden` and `d_cell` are the gradients of h and c before the step, without the part that
        flows through W_hh
    d_bias : the gradients of the pre-activations are added to it, gates `bias_step` apart; for a
        GRU, that of W_hn h + b_hn is the fourth
    """

    forward: Callable[..., None]
    backward: Callable[..., None]


class _Row:
    """The operands of one call, as vectors."""

    def __init__(
        self, builder: ir.IRBuilder, simd: Vectors, gate_step: Any, bias_step: Any = None
    ) -> None:
        self.builder = builder
        self.simd = simd
        self.gate_step = gate_step
        self.bias_step = bias_step

    def _at(self, start: Any, step: Any, n: int) -> Any:
        return offset(self.builder, start, self.builder.mul(step, INT64(n)))

    def load_gates(self, gates: Any, count: int) -> list[Any]:
        """Load the first `count` gates."""
        return [self.simd.load(self._at(gates, self.gate_step, n)) for n in range(count)]

    def store_gates(self, values: list[Any], gates: Any) -> None:
        """Store `values` over the first gates, in order: one may overwrite part of the next."""
        for n, value in enumerate(values):
            self.simd.store(value, self._at(gates, self.gate_step, n))

    def add_to_bias(self, values: list[Any], sums: Any) -> None:
        """Add `values`, one per gate, to the running sums."""
        for n, value in enumerate(values):
            place = self._at(sums, self.bias_step, n)
            self.simd.store(self.simd.add(self.simd.load(place), value), place)

    def slope_of_sigmoid(self, s: Any) -> Any:
        """Return s (1 - s)."""
        return self.simd.multiply(s, self.simd.complement(s))

    def slope_of_tanh(self, t: Any) -> Any:
        """Return 1 - t^2."""
        return self.simd.complement(self.simd.multiply(t, t))


def _lstm_forward(
    row: _Row, gates: Any, _: Any, memory: Any, hidden: Any, cell: Any, output: Any
) -> None:
    simd = row.simd
    multiply = simd.multiply
    i_sum, f_sum, g_sum, o_sum = row.load_gates(gates, 4)
    i_divisor, f_divisor = simd.sigmoid_divisor(i_sum), simd.sigmoid_divisor(f_sum)
    g_numerator, g_divisor = simd.tanh_fraction(g_sum)
    # A division takes as long as ten multiplications, so i, f and g share one division, and o and
    # tanh(c) share another.
    f_times_g = multiply(f_divisor, g_divisor)
    shared = simd.reciprocal(multiply(i_divisor, f_times_g))
    i = simd.saturated_sigmoid(i_sum, multiply(shared, f_times_g))
    shared = multiply(shared, i_divisor)  # 1 / (f_divisor * g_divisor)
    f = simd.saturated_sigmoid(f_sum, multiply(shared, g_divisor))
    g = simd.saturated_tanh(multiply(g_numerator, multiply(shared, f_divisor)))
    before = simd.load(cell)
    after = simd.fma(f, before, multiply(i, g))
    o_divisor = simd.sigmoid_divisor(o_sum)
    t_numerator, t_divisor = simd.tanh_fraction(after)
    shared = simd.reciprocal(multiply(o_divisor, t_divisor))
    o = simd.saturated_sigmoid(o_sum, multiply(shared, t_divisor))
    t = simd.saturated_tanh(multiply(t_numerator, multiply(shared, o_divisor)))
    h = multiply(o, t)
    row.store_gates([i, f, g, o], gates)
    simd.store(before, memory)
    simd.store(after, cell)
    simd.store(h, hidden)
    simd.store(h, output)


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
    simd = row.simd
    i, f, g, o = row.load_gates(gates, 4)
    before = simd.load(memory)
    squashed = simd.tanh(simd.fma(f, before, simd.multiply(i, g)))
    d_h = simd.add(simd.load(d_output), simd.load(d_hidden))
    d_c = simd.fma(simd.multiply(d_h, o), row.slope_of_tanh(squashed), simd.load(d_cell))
    d_gates = [
        simd.multiply(simd.multiply(d_c, g), row.slope_of_sigmoid(i)),
        simd.multiply(simd.multiply(d_c, before), row.slope_of_sigmoid(f)),
        simd.multiply(simd.multiply(d_c, i), row.slope_of_tanh(g)),
        simd.multiply(simd.multiply(d_h, squashed), row.slope_of_sigmoid(o)),
    ]
    simd.store(simd.multiply(d_c, f), d_cell)
    row.store_gates(d_gates, gates)
    row.add_to_bias(d_gates, d_bias)


def _gru_forward(
    row: _Row, gates: Any, from_hidden: Any, memory: Any, hidden: Any, _: Any, output: Any
) -> None:
    simd = row.simd
    r, z, n = row.load_gates(gates, 3)
    r_hidden, z_hidden, n_hidden = row.load_gates(from_hidden, 3)
    r_sum, z_sum = simd.add(r, r_hidden), simd.add(z, z_hidden)
    r_divisor, z_divisor = simd.sigmoid_divisor(r_sum), simd.sigmoid_divisor(z_sum)
    shared = simd.reciprocal(simd.multiply(r_divisor, z_divisor))  # one division for both
    r = simd.saturated_sigmoid(r_sum, simd.multiply(shared, z_divisor))
    z = simd.saturated_sigmoid(z_sum, simd.multiply(shared, r_divisor))
    n = simd.tanh(simd.fma(r, n_hidden, n))
    before = simd.load(hidden)
    h = simd.fma(z, before, simd.multiply(simd.complement(z), n))
    row.store_gates([r, z, n], gates)
    simd.store(n_hidden, memory)
    simd.store(h, hidden)
    simd.store(h, output)


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
    simd = row.simd
    r, z, n = row.load_gates(gates, 3)
    n_hidden, h = simd.load(memory), simd.load(before)
    d_h = simd.add(simd.load(d_output), simd.load(d_hidden))
    d_n = simd.multiply(simd.multiply(d_h, simd.complement(z)), row.slope_of_tanh(n))
    d_z = simd.multiply(simd.multiply(d_h, simd.subtract(h, n)), row.slope_of_sigmoid(z))
    d_r = simd.multiply(simd.multiply(d_n, n_hidden), row.slope_of_sigmoid(r))
    d_n_hidden = simd.multiply(d_n, r)
    simd.store(simd.multiply(d_h, z), d_hidden)
    row.store_gates([d_r, d_z, d_n], gates)
    simd.store(d_n_hidden, memory)
    row.add_to_bias([d_r, d_z, d_n, d_n_hidden], d_bias)


def _make_rnn_forward(activation: str) -> Callable[..., None]:
    def forward(
        row: _Row, gates: Any, _: Any, memory: Any, hidden: Any, cell: Any, output: Any
    ) -> None:
        simd = row.simd
        total = simd.load(gates)
        if activation == "tanh":
            h = simd.tanh(total)
        else:  # NaN is not less than 0 and stays NaN
            zero = simd.constant(0.0)
            h = simd.where("<", total, zero, zero, total)
        for place in (gates, hidden, output):
            simd.store(h, place)

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
        simd = row.simd
        h = simd.load(gates)
        d_h = simd.add(simd.load(d_output), simd.load(d_hidden))
        if activation == "tanh":
            d_total = simd.multiply(d_h, row.slope_of_tanh(h))
        else:
            zero = simd.constant(0.0)
            d_total = simd.where("<=", h, zero, zero, d_h)
        simd.store(d_total, gates)
        row.add_to_bias([d_total], d_bias)

    return backward


_EMITTERS = {
    RNN_TANH: (_make_rnn_forward("tanh"), _make_rnn_backward("tanh")),
    RNN_RELU: (_make_rnn_forward("relu"), _make_rnn_backward("relu")),
    GRU: (_gru_forward, _gru_backward),
    LSTM: (_lstm_forward, _lstm_backward),
}


def make_pointwise(cell: Cell, lanes: int, *, masked: bool) -> Pointwise:
    """Return the functions of `cell` for vectors of `lanes`, callable from compiled code.

    If not `masked`, `active` is ignored.
    """
    emit_forward, emit_backward = _EMITTERS[cell]

    def vectors(builder: ir.IRBuilder, active: Any) -> Vectors:
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
            row = _Row(builder, vectors(builder, active), gate_step)
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
            row = _Row(builder, vectors(builder, active), gate_step, bias_step)
            emit_backward(row, *(pointer(builder, address) for address in (gates, *others)))

        return types.void(*[types.int64] * 10), emit

    return Pointwise(forward, backward)
