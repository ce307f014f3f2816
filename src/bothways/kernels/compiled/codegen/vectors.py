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

# Both fits minimize the largest relative error, by least squares whose weights are raised where the
# error is large, until it is equal everywhere (Lawson 1961).

# tanh(x) = x P(x^2) / Q(x^2) for |x| <= 8.4, with an error of 1e-8 before rounding. The fraction
# exceeds 1 by 1e-6 at the limit, which is more than its rounding errors, so that clamping it makes
# saturated gates exactly 1, with gradient 0.
_TANH_LIMIT = 9.4
_TANH_NUMERATOR = (
    9.999999895e-01,
    1.341957916e-01,
    3.541616734e-03,
    2.137976278e-05,
    1.445783789e-08,
)
_TANH_DIVISOR = (
    1.0,
    4.675290299e-01,
    2.605143699e-02,
    3.361426129e-04,
    8.219954903e-07,
)

# 2^f for |f| <= 0.5, exactly 1 for 0, with an error of 9e-8 before rounding.
_POWER_OF_TWO = (
    1.0,
    6.931469776e-01,
    2.402224209e-01,
    5.550733743e-02,
    9.671512640e-03,
    1.326472720e-03,
)
# Beyond this limit, sigmoid is 1 or less than 1e-17; products of divisors do not overflow.
_EXP_LIMIT = 40.0
# Limits beyond which sigmoid is exactly 1 and exactly 0 in float32.
_SIGMOID_ONE, _SIGMOID_ZERO = 17.0, -88.7
_LOG2_E = 1.44269504088896341
# Adding 1.5 * 2^23 rounds to an integer, which is then in the low bits; with 127, these are the
# exponent bits of the power of two.
_ROUNDING = 1.5 * 2**23 + 127


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

    def negative(self, a: Any) -> Any:
        """Return -a."""
        return self.builder.fneg(a)

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
        return self.saturated_tanh(self.multiply(numerator, self.reciprocal(divisor)))

    def tanh_fraction(self, x: Any) -> tuple[Any, Any]:
        """Return numerator and divisor of tanh(x), so that several values can share a division."""
        x = self._clamp(x, _TANH_LIMIT)
        square = self.multiply(x, x)
        numerator = self.multiply(self._polynomial(_TANH_NUMERATOR, square), x)
        return numerator, self._polynomial(_TANH_DIVISOR, square)

    def saturated_tanh(self, fraction: Any) -> Any:
        """Return tanh as its fraction, which exceeds 1 for large values; NaN stays NaN."""
        return self._clamp(fraction, 1.0)

    def sigmoid_divisor(self, x: Any) -> Any:
        """Return 1 + e^-x, the divisor of sigmoid; small sigmoids keep their relative precision.

        e^-x is 2^n 2^f. The product of x and log2(e) is not rounded before n is subtracted, so
        that the relative error grows with |x| only by that of the constant, 1.4e-8 |x|.
        """
        builder = self.builder
        x = self._clamp(x, _EXP_LIMIT)
        shifted = self.fma(x, self.constant(-_LOG2_E), self.constant(_ROUNDING))
        n = self.subtract(shifted, self.constant(_ROUNDING))
        fraction = self.fma(x, self.constant(-_LOG2_E), self.negative(n))
        numbers = ir.VectorType(INT32, self.lanes)
        bits = builder.bitcast(shifted, numbers)
        exponent = builder.shl(bits, ir.Constant(numbers, [23] * self.lanes))
        power = self._polynomial(_POWER_OF_TWO, fraction)
        return self.fma(power, builder.bitcast(exponent, self.type), self.constant(1.0))

    def saturated_sigmoid(self, x: Any, sigmoid: Any) -> Any:
        """Return `sigmoid` of x, set to exactly 0 or 1 where sigmoid has that value in float32."""
        sigmoid = self.where("<", x, self.constant(_SIGMOID_ZERO), self.constant(0.0), sigmoid)
        return self.where(">", x, self.constant(_SIGMOID_ONE), self.constant(1.0), sigmoid)

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
