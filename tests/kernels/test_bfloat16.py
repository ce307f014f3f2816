"""Layers with precision bfloat16: errors, bits, and where they are refused.

Tolerance: rounding inputs and weights to bfloat16 changes results and gradients by a certain error,
computed in float64 from rounded numbers. The engine also rounds h and the gradients of the gates at
each step, which are as many numbers again. The allowed error, as the norm of a tensor, is 4 times
that of rounding inputs and weights. The largest observed factor is 3.2 for tensors of a few values,
and 1.7 for others. The gradient of ReLU jumps at 0, so only its results are compared.
"""

import copy
import re

import pytest
import torch
from layer_results import make_states, results_and_gradients, run

import bothways.nn
from bothways.errors import BackendError
from bothways.kernels.cells import LSTM
from bothways.kernels.compiled import compiler, passes
from bothways.kernels.compiled.instruction_sets import AVX512_BF16, Target, host_target

CELLS = {
    "rnn_tanh": ("RNN", {"nonlinearity": "tanh"}),
    "rnn_relu": ("RNN", {"nonlinearity": "relu"}),
    "gru": ("GRU", {}),
    "lstm": ("LSTM", {}),
}
SIZES = [  # batch, time, input, hidden
    (1, 33, 28, 17),
    (3, 7, 600, 100),
    (33, 5, 1, 5),
    (7, 33, 28, 12),
    (2, 3, 28, 160),
    (70, 9, 5, 33),
]
cells = pytest.mark.parametrize("cell", CELLS)
needs_bfloat16 = pytest.mark.skipif(
    not host_target().has_bfloat16, reason="this processor has no AVX512_BF16"
)


@pytest.fixture(params=[1, 2], ids=["one_thread", "two_threads"])
def threads(request):
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(1)


def make(cell, input_size, hidden_size, precision="bfloat16", **options):
    kind, chosen = CELLS[cell]
    layers = getattr(bothways.nn, kind)
    return layers(input_size, hidden_size, precision=precision, **chosen, **options)


def in_float64(layers, *, rounded):
    """Return the same layers in float64; if `rounded`, with weights rounded to bfloat16."""
    other = copy.deepcopy(layers)
    other.precision = "float32"
    if rounded:
        with torch.no_grad():
            for weight in other.parameters():
                if weight.dim() == 2:
                    weight.copy_(weight.bfloat16())
    return other.double()


@needs_bfloat16
@cells
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "bidirectional"])
@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("ragged", [False, True], ids=["padded", "ragged"])
@pytest.mark.parametrize("with_states", [False, True], ids=["zeros", "states"])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("last", [False, True], ids=["all", "last"])
@pytest.mark.pairwise
def test_errors_are_those_of_rounded_inputs_and_weights(
    cell, bidirectional, num_layers, ragged, with_states, sizes, last, threads
):
    batch_size, time, input_size, hidden_size = sizes
    layers = make(cell, input_size, hidden_size, num_layers=num_layers, bidirectional=bidirectional)
    inputs = torch.randn(time, batch_size, input_size)
    states = make_states(layers, batch_size) if with_states else None
    lengths = torch.randint(1, time + 1, (batch_size,)) if ragged else None
    compute = run if cell == "rnn_relu" else results_and_gradients
    ours = compute(layers, inputs, states, lengths, last)
    exact = in_float64(layers, rounded=False)
    doubles = None if states is None else tuple(state.double() for state in states)
    truths = compute(exact, inputs.double(), doubles, lengths, last)
    near = in_float64(layers, rounded=True)
    rounded = compute(near, inputs.bfloat16().double(), doubles, lengths, last)
    for actual, other, truth in zip(ours, rounded, truths, strict=True):
        assert (actual - truth).norm() <= 4 * (other - truth).norm() + 1e-6 * truth.norm()
    assert layers.last_choice.name == "compiled"


@needs_bfloat16
@pytest.mark.parametrize("batch_size", [1, 2, 7, 65])
@pytest.mark.parametrize("input_size", [1, 2, 15, 33, 513, 1100])
@pytest.mark.parametrize("hidden_size", [1, 8, 23, 40])
@pytest.mark.pairwise
def test_products_of_bfloat16_numbers_are_exact_but_for_sums(
    batch_size, input_size, hidden_size, threads
):
    """The largest observed error, of rounding up to 1100 sums in float32, is 1.4e-6.

    One step of a ReLU layer whose sums are all positive is a matrix product, and so are its
    gradients.
    """
    layers = make("rnn_relu", input_size, hidden_size, bias=False)
    plain = in_float64(layers, rounded=True)
    with torch.no_grad():
        for name, weight in plain.named_parameters():
            getattr(layers, name).copy_(weight.abs_())
    found = []
    inputs = torch.rand(1, batch_size, input_size).bfloat16()
    direction = torch.randn(1, batch_size, hidden_size).bfloat16()
    for model, dtype in ((layers, torch.float32), (plain, torch.float64)):
        steps = inputs.to(dtype).requires_grad_()
        outputs, _ = model.outputs(steps)
        sources = [steps, model.weight_ih_l0]
        found.append([outputs, *torch.autograd.grad(outputs, sources, direction.to(dtype))])
    for actual, expected in zip(*found, strict=True):
        assert (actual - expected).abs().max() <= 4e-6 * expected.abs().max()


@needs_bfloat16
@cells
def test_repeated_runs_give_the_same_bits(cell, threads):
    layers = make(cell, 28, 40, num_layers=2, bidirectional=True)
    inputs, lengths = torch.randn(20, 32, 28), torch.randint(1, 21, (32,))
    first = results_and_gradients(layers, inputs, None, lengths, False)
    for _ in range(3):
        again = results_and_gradients(layers, inputs, None, lengths, False)
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


@needs_bfloat16
@cells
@pytest.mark.parametrize("hidden_size", [12, 33, 160])
def test_bits_of_a_row_do_not_depend_on_its_batch(cell, hidden_size, threads):
    """Even a row alone has the bits that it has in a batch: threads never share a step."""
    layers = make(cell, 5, hidden_size, num_layers=2, bidirectional=True, batch_first=True)
    for batch_size in (4, 7, 20, 33):
        inputs, lengths = torch.randn(batch_size, 9, 5), torch.randint(1, 10, (batch_size,))
        order = torch.randperm(batch_size)
        with torch.inference_mode():
            outputs, _ = layers(inputs, lengths=lengths)
            mixed, _ = layers(inputs[order], lengths=lengths[order])
            alone, _ = layers(inputs[:1, : lengths[0]])
        assert torch.equal(mixed, outputs[order])
        assert torch.equal(alone[0], outputs[0, : lengths[0]])


@needs_bfloat16
@cells
def test_inference_in_slices_gives_the_same_bits_as_training(cell, threads, monkeypatch):
    layers = make(cell, 9, 40, num_layers=2, bidirectional=True)
    inputs, lengths = torch.randn(15, 70, 9), torch.randint(1, 16, (70,))
    monkeypatch.setattr(passes, "_SLICE_BYTES", 1 << 16)
    for last in (False, True):
        trained = run(layers, inputs, None, lengths, last)
        with torch.inference_mode():
            inferred = run(layers, inputs, None, lengths, last)
        assert all(torch.equal(a, b) for a, b in zip(trained, inferred, strict=True))


@needs_bfloat16
@cells
def test_prepared_layers_give_the_same_bits(cell):
    layers = make(cell, 9, 40, num_layers=2)
    inputs, states = torch.randn(15, 7, 9), make_states(layers, 7)
    with torch.inference_mode():
        expected = run(layers, inputs, states, None, False)
        outputs, final = layers.prepared()(inputs, None, states)
    assert all(torch.equal(a, b) for a, b in zip([outputs, *final], expected, strict=True))


@needs_bfloat16
@cells
def test_nan_spreads_in_its_row_only(cell):
    layers = make(cell, 4, 17, bidirectional=True)
    inputs = torch.randn(6, 3, 4)
    clean, _ = layers.outputs(inputs)
    inputs[3, 1, 2] = float("nan")
    outputs, _ = layers.outputs(inputs)
    assert torch.equal(outputs[:, [0, 2]], clean[:, [0, 2]])
    assert outputs[3:, 1, :17].isnan().all()
    assert outputs[:4, 1, 17:].isnan().all()
    assert torch.equal(outputs[:3, 1, :17], clean[:3, 1, :17])


@needs_bfloat16
def test_second_derivatives_are_computed_in_float32():
    layers = make("lstm", 3, 8)
    inputs = torch.randn(5, 4, 3, requires_grad=True)
    (slope,) = torch.autograd.grad(layers.outputs(inputs)[0].sum(), inputs, create_graph=True)
    (ours,) = torch.autograd.grad(slope.pow(2).sum(), layers.weight_hh_l0)
    layers.precision = "float32"
    (slope,) = torch.autograd.grad(layers.outputs(inputs)[0].sum(), inputs, create_graph=True)
    (expected,) = torch.autograd.grad(slope.pow(2).sum(), layers.weight_hh_l0)
    torch.testing.assert_close(ours, expected)


@needs_bfloat16
def test_the_precision_is_visible_and_copied():
    layers = make("gru", 3, 5)
    assert "products of bfloat16 numbers" in str(layers.backend_choice)
    assert copy.deepcopy(layers).precision == "bfloat16"
    with layers.with_precision("float32"):
        assert "bfloat16" not in str(layers.backend_choice)
    assert layers.precision == "bfloat16"


@needs_bfloat16
def test_torch_runs_what_the_engine_cannot_read():
    layers = make("lstm", 3, 5)
    inputs = torch.randn(4, 2, 3)
    with torch.autocast("cpu", torch.bfloat16):
        layers(inputs)
    assert str(layers.last_choice) == "torch: torch's operators, because autocast is enabled"
    traced = torch.export.export(layers, (inputs,)).module()
    layers.precision = "float32"
    torch.testing.assert_close(traced(inputs)[0], layers(inputs)[0])


@pytest.mark.parametrize(
    ("options", "changes", "fact"),
    [
        ({"dtype": torch.float64}, {}, "the weights are torch.float64"),
        ({"proj_size": 2}, {}, "proj_size is not supported"),
        ({}, {"backend": "torch"}, "the backend is 'torch'"),
        ({}, {"backend": "reference"}, "the backend is 'reference'"),
        ({"device": "meta"}, {}, "the device is meta"),
    ],
)
@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported")
def test_refused_where_it_cannot_be_had(options, changes, fact):
    layers = bothways.nn.LSTM(3, 5, precision="bfloat16", **options, **changes)
    with pytest.raises(
        BackendError, match=f"precision is 'bfloat16' but {fact}; expected float32 weights on a CPU"
    ):
        _ = layers.backend_choice


def test_refused_on_other_processors(monkeypatch):
    monkeypatch.setattr(Target, "has_bfloat16", False)
    with pytest.raises(BackendError, match="but this processor has no AVX512_BF16; expected"):
        make("lstm", 3, 5)(torch.zeros(1, 1, 3))


def test_unknown_precisions_are_refused():
    with pytest.raises(BackendError, match=r"(?s)float16.*float32.*bfloat16"):
        make("lstm", 3, 5, precision="float16")(torch.zeros(1, 1, 3))


ZEN4 = Target(
    "x86_64-unknown-linux-gnu",
    "znver4",
    "+avx2,+fma,+avx512f,+avx512bw,+avx512vl,+avx512bf16",
    precision="bfloat16",
)


@needs_bfloat16
def test_the_tiles_multiply_pairs():
    assert ZEN4.instruction_set is AVX512_BF16
    assembly = compiler.assembly_of(LSTM, ZEN4)
    name = f"bothways_tile_{AVX512_BF16.rows[0]}x{AVX512_BF16.columns}_rows"
    tile = assembly.partition(f"\n{name}:")[2].partition("\tretq")[0]
    assert tile.count("vdpbf16ps") >= 2 * AVX512_BF16.rows[0]
    assert "vfmadd" not in tile
    assert not re.search(r"%zmm.*\(%rsp\)", tile)  # no sum is spilled


def test_a_program_is_not_compiled_where_it_cannot_run(monkeypatch):
    monkeypatch.setattr(compiler, "host_target", lambda: Target("x86_64", "haswell", "+avx2"))
    with pytest.raises(ValueError, match="bfloat16 program can be compiled only where it can run"):
        compiler.compile_program(LSTM, ZEN4)


def test_other_processors_have_no_program_for_it():
    target = Target("x86_64-unknown-linux-gnu", "haswell", "+avx2,+fma", precision="bfloat16")
    with pytest.raises(ValueError, match="haswell has no instructions for bfloat16"):
        _ = target.instruction_set
