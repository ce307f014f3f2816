"""Generation of LLVM IR for vectors of float32.

In compiled code, addresses are int64 values and offsets count float32 values. All matrices have the
same type, so that one compilation serves all shapes.
"""

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba.core import cgutils

FLOAT = ir.FloatType()
FLOAT_POINTER = FLOAT.as_pointer()
INT64 = ir.IntType(64)
INT32 = ir.IntType(32)

# Rational tanh of degree 13 over 6 up to |x| = 8, from Eigen and XLA, and exactly 1 beyond, so that
# saturated gates have gradient 0. Largest error over all float32 numbers: 2.9e-7.
_TANH_LIMIT = 8.0
_TANH_ODD = (
    4.89352455891786e-03,
    6.37261928875436e-04,
    1.48572235717979e-05,
    5.12229709037114e-08,
    -8.60467152213735e-11,
    2.00018790482477e-13,
    -2.76076847742355e-16,
)
_TANH_EVEN = (
    4.89352518554385e-03,
    2.26843463243900e-03,
    1.18534705686654e-04,
    1.19825839466702e-06,
)

# e^-r for |r| <= ln(2) / 2, fitted to minimize the relative error: 4e-9 before rounding.
_EXP_MINUS = (
    1.0,
    -1.0,
    4.999998853e-01,
    -1.666651785e-01,
    4.166954457e-02,
    -8.368989976e-03,
    1.375115056e-03,
)
# Beyond this limit, sigmoid is 1 or less than 1e-17; products of divisors do not overflow.
_EXP_LIMIT = 40.0
# Limits beyond which sigmoid is exactly 1 and exactly 0 in float32.
_SIGMOID_ONE, _SIGMOID_ZERO = 17.0, -88.7
_LOG2_E = 1.44269504088896341
_LN2_HIGH, _LN2_LOW = 0.693359375, -2.12194440e-4
_ROUNDING = 1.5 * 2**23


class Vectors:
    """Generate vector instructions for `lanes` float32 values at the position of a builder.

    Parameters
    ----------
    builder : llvmlite.ir.IRBuilder
    lanes : int
    active : llvmlite value, int64, optional
        Number of lanes that are loaded and stored; default: all.
    """

    def __init__(self, builder: ir.IRBuilder, lanes: int, active: Any = None) -> None:
        self.builder = builder
        self.lanes = lanes
        self.type = ir.VectorType(FLOAT, lanes)
        self._mask = None if active is None else self._first_lanes(active)

    def constant(self, value: float) -> Any:
        """Return a vector with `value` in all lanes."""
        return ir.Constant(self.type, [float(value)] * self.lanes)

    def broadcast(self, address: Any) -> Any:
        """Load one value into all lanes."""
        return self._splat(self.builder.load(address, align=4), self.type)

    def load(self, address: Any) -> Any:
        """Load lanes from consecutive floats; inactive lanes are 0."""
        pointer = self.builder.bitcast(address, self.type.as_pointer())
        if self._mask is None:
            return self.builder.load(pointer, align=4)
        arguments = (pointer, INT32(4), self._mask, self.constant(0.0))
        return self._call("llvm.masked.load", self.type, arguments, ".p0")

    def store(self, value: Any, address: Any) -> None:
        """Store the active lanes to consecutive floats."""
        pointer = self.builder.bitcast(address, self.type.as_pointer())
        if self._mask is None:
            self.builder.store(value, pointer, align=4)
        else:
            arguments = (value, pointer, INT32(4), self._mask)
            self._call("llvm.masked.store", ir.VoidType(), arguments, ".p0")

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        """Return a * b + c, rounded once if the processor supports it."""
        return self._call("llvm.fmuladd", self.type, (a, b, c))

    def add(self, a: Any, b: Any) -> Any:
        """Return a + b."""
        return self.builder.fadd(a, b)

    def subtract(self, a: Any, b: Any) -> Any:
        """Return a - b."""
        return self.builder.fsub(a, b)

    def multiply(self, a: Any, b: Any) -> Any:
        """Return a * b."""
        return self.builder.fmul(a, b)

    def complement(self, a: Any) -> Any:
        """Return 1 - a."""
        return self.builder.fsub(self.constant(1.0), a)

    def where(self, relation: str, a: Any, b: Any, then: Any, otherwise: Any) -> Any:
        """Return `then` where `a relation b`, else `otherwise`; NaN satisfies no relation."""
        return self.builder.select(self.builder.fcmp_ordered(relation, a, b), then, otherwise)

    def reciprocal(self, a: Any) -> Any:
        """Return 1 / a."""
        return self.builder.fdiv(self.constant(1.0), a)

    def tanh(self, x: Any) -> Any:
        """Return tanh(x); NaN stays NaN."""
        numerator, divisor = self.tanh_fraction(x)
        return self.saturated_tanh(x, self.multiply(numerator, self.reciprocal(divisor)))

    def tanh_fraction(self, x: Any) -> tuple[Any, Any]:
        """Return numerator and divisor of tanh(x), so that several values can share a division."""
        x = self._clamp(x, _TANH_LIMIT)
        square = self.multiply(x, x)
        numerator = self.multiply(self._polynomial(_TANH_ODD, square), x)
        return numerator, self._polynomial(_TANH_EVEN, square)

    def saturated_tanh(self, x: Any, tanh: Any) -> Any:
        """Return `tanh` of x, set to exactly 1 or -1 outside the range of the fraction."""
        for relation, sign in ((">", 1.0), ("<", -1.0)):
            limit = self.constant(sign * _TANH_LIMIT)
            tanh = self.where(relation, x, limit, self.constant(sign), tanh)
        return tanh

    def sigmoid_divisor(self, x: Any) -> Any:
        """Return 1 + e^-x, the divisor of sigmoid; small sigmoids keep their relative precision."""
        return self.add(self._exp_minus(x), self.constant(1.0))

    def saturated_sigmoid(self, x: Any, sigmoid: Any) -> Any:
        """Return `sigmoid` of x, set to exactly 0 or 1 where sigmoid has that value in float32."""
        sigmoid = self.where(">", x, self.constant(_SIGMOID_ONE), self.constant(1.0), sigmoid)
        return self.where("<", x, self.constant(_SIGMOID_ZERO), self.constant(0.0), sigmoid)

    def _exp_minus(self, x: Any) -> Any:
        """Return e^-x as 2^n e^-r; NaN stays NaN."""
        builder = self.builder
        x = self._clamp(x, _EXP_LIMIT)
        # Adding 1.5 * 2^23 rounds to an integer, which is then in the low bits.
        shifted = self.fma(x, self.constant(-_LOG2_E), self.constant(_ROUNDING))
        n = self.subtract(shifted, self.constant(_ROUNDING))
        r = self.fma(n, self.constant(_LN2_HIGH), x)
        r = self.fma(n, self.constant(_LN2_LOW), r)
        numbers = ir.VectorType(INT32, self.lanes)
        biased = builder.add(
            builder.bitcast(shifted, numbers), ir.Constant(numbers, [127] * self.lanes)
        )
        exponent = builder.shl(biased, ir.Constant(numbers, [23] * self.lanes))
        power = self._polynomial(_EXP_MINUS, r)
        return self.multiply(power, builder.bitcast(exponent, self.type))

    def _clamp(self, x: Any, limit: float) -> Any:
        for relation, bound in ((">", limit), ("<", -limit)):
            x = self.where(relation, x, self.constant(bound), self.constant(bound), x)
        return x

    def _polynomial(self, coefficients: Sequence[float], x: Any) -> Any:
        result = self.constant(coefficients[-1])
        for coefficient in coefficients[-2::-1]:
            result = self.fma(result, x, self.constant(coefficient))
        return result

    def _first_lanes(self, active: Any) -> Any:
        numbers = ir.VectorType(INT32, self.lanes)
        count = self._splat(self.builder.trunc(active, INT32), numbers)
        lane = ir.Constant(numbers, list(range(self.lanes)))
        return self.builder.icmp_signed("<", lane, count)

    def _splat(self, value: Any, vector: ir.VectorType) -> Any:
        empty = ir.Constant(vector, ir.Undefined)
        first = self.builder.insert_element(empty, value, INT32(0))
        zeros = ir.Constant(ir.VectorType(INT32, self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(first, empty, zeros)

    def _call(self, name: str, result: Any, arguments: Sequence[Any], suffix: str = "") -> Any:
        """Call an LLVM intrinsic by its full name, because llvmlite cannot mangle vector types."""
        signature = ir.FunctionType(result, [argument.type for argument in arguments])
        full = f"{name}.v{self.lanes}f32{suffix}"
        function = cgutils.get_or_insert_function(self.builder.module, signature, full)
        return self.builder.call(function, arguments)


def pointer(builder: ir.IRBuilder, address: Any) -> Any:
    """Return an int64 address as a pointer to float32."""
    return builder.inttoptr(address, FLOAT_POINTER)


def offset(builder: ir.IRBuilder, address: Any, floats: Any) -> Any:
    """Return the pointer `floats` values after `address`."""
    if isinstance(floats, int):
        floats = INT64(floats)
    return builder.gep(address, [floats])
