"""The results of the compiled engine are as close to float64 as those of torch in float32.

Tolerance: both round some hundreds of products and sums, in different orders. The allowed error is
8 times the error of torch on the same numbers (the largest observed factor is 3), plus 2e-6 of the
largest value, which is the effect of rounding once per step over 63 steps.
"""

import copy
import gc
import os
import platform
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
from layer_results import make_states, results_and_gradients, run

import bothways.nn
from bothways import ModelConfig, SequenceClassifier, Sequences
from bothways.errors import BackendError, ShapeError
from bothways.kernels import torch_backend
from bothways.kernels.compiled import passes, workspace
from bothways.kernels.compiled.stats import counters
from bothways.recipes import load_recipe
from bothways.training.loop.events import StepDone
from bothways.training.loop.trainer import Training

CELLS = {
    "rnn_tanh": ("RNN", {"nonlinearity": "tanh"}),
    "rnn_relu": ("RNN", {"nonlinearity": "relu"}),
    "gru": ("GRU", {}),
    "lstm": ("LSTM", {}),
}
SIZES = [  # batch, time, input, hidden
    (1, 1, 1, 1),
    (1, 63, 28, 17),
    (3, 7, 300, 100),
    (33, 5, 1, 3),
    (7, 63, 28, 12),
    (2, 3, 28, 256),
    (40, 9, 5, 33),
]
cells = pytest.mark.parametrize("cell", CELLS)


@pytest.fixture(params=[1, 2], ids=["one_thread", "two_threads"])
def threads(request):
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(1)


@pytest.fixture
def two_threads():
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


DENORMAL_SUMS = 16 * torch.finfo(torch.float32).tiny
"""The engine counts denormal numbers as zero; a sum can lack some of them."""


def make(cell, input_size, hidden_size, backend="compiled", **options):
    kind, chosen = CELLS[cell]
    torch.manual_seed(0)
    layers = getattr(bothways.nn, kind)
    return layers(input_size, hidden_size, backend=backend, **chosen, **options)


def on_torch(layers, dtype):
    """Return the same layers on the torch backend, in `dtype`."""
    other = copy.deepcopy(layers).to(dtype)
    other.backend = "torch"
    return other


def assert_as_close_as_torch(layers, inputs, states=None, lengths=None, last=False):
    arguments = (inputs, states, lengths, last)
    exact = results_and_gradients(on_torch(layers, torch.float64), *arguments)
    torchs = results_and_gradients(on_torch(layers, torch.float32), *arguments)
    ours = results_and_gradients(layers, *arguments)
    for actual, other, truth in zip(ours, torchs, exact, strict=True):
        allowed = 8 * (other - truth).abs().max() + 2e-6 * truth.abs().max() + DENORMAL_SUMS
        assert (actual - truth).abs().max() <= allowed


@cells
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "bidirectional"])
@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("ragged", [False, True], ids=["padded", "ragged"])
@pytest.mark.parametrize("with_states", [False, True], ids=["zeros", "states"])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("last", [False, True], ids=["all", "last"])
@pytest.mark.pairwise
@pytest.mark.usefixtures("two_threads")
def test_results_and_gradients(cell, bidirectional, num_layers, ragged, with_states, sizes, last):
    batch_size, time, input_size, hidden_size = sizes
    layers = make(cell, input_size, hidden_size, num_layers=num_layers, bidirectional=bidirectional)
    inputs = torch.randn(time, batch_size, input_size)
    states = make_states(layers, batch_size) if with_states else None
    lengths = torch.randint(1, time + 1, (batch_size,)) if ragged else None
    assert_as_close_as_torch(layers, inputs, states, lengths, last)


@cells
@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(("time", "hidden_size"), [(200, 12), (30, 100), (5, 161)])
@pytest.mark.parametrize("with_states", [False, True], ids=["zeros", "states"])
@pytest.mark.parametrize("last", [False, True], ids=["all", "last"])
def test_one_sequence_on_two_threads(cell, time, hidden_size, with_states, last):
    """With 100 or more units, the threads share each time step."""
    layers = make(cell, 28, hidden_size, num_layers=2, bidirectional=True, dropout=0.5).eval()
    states = make_states(layers, 1) if with_states else None
    assert_as_close_as_torch(layers, torch.randn(time, 1, 28), states, None, last)


@cells
@pytest.mark.parametrize("ragged", [False, True], ids=["padded", "ragged"])
@pytest.mark.parametrize("with_states", [False, True], ids=["zeros", "states"])
@pytest.mark.parametrize(
    ("rows", "wanted", "present"), [(3, 4, 1), (3, 4, 2), (3, 4, 4), (1, 2, 1), (1, 2, 2)]
)
def test_fewer_rows_than_threads(monkeypatch, cell, ragged, with_states, rows, wanted, present):
    """The threads share each step of three rows, and the directions of one row.

    This also holds if some of the wanted threads never start.
    """
    monkeypatch.setattr(torch, "get_num_threads", lambda: wanted)
    start = passes.run_on_threads
    monkeypatch.setattr(
        passes,
        "run_on_threads",
        lambda entry, job, threads: start(entry, job, min(threads, present)),
    )
    layers = make(cell, 9, 130, num_layers=2, bidirectional=True)
    inputs = torch.randn(12, rows, 9)
    states = make_states(layers, rows) if with_states else None
    lengths = torch.tensor([4, 12, 9])[:rows] if ragged else None
    plain = on_torch(layers, torch.float32)
    with torch.inference_mode():
        for last in (False, True):
            actual = run(layers, inputs, states, lengths, last)
            expected = run(plain, inputs, states, lengths, last)
            for left, right in zip(actual, expected, strict=True):
                torch.testing.assert_close(left, right, atol=2e-6, rtol=1e-5)


@cells
@pytest.mark.parametrize("hidden_size", [5, 12, 15, 17])
@pytest.mark.parametrize("rows", [8, 15, 20])
def test_small_layers_with_fewer_rows_than_threads(monkeypatch, cell, hidden_size, rows):
    """Both directions write to one tensor, in which a vector may reach into the other's units."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: 24)
    layers = make(cell, 9, hidden_size, num_layers=2, bidirectional=True)
    plain = on_torch(layers, torch.float32)
    inputs = torch.randn(50, rows, 9)
    with torch.inference_mode():
        actual = run(layers, inputs, None, None, False)
        expected = run(plain, inputs, None, None, False)
        for left, right in zip(actual, expected, strict=True):
            torch.testing.assert_close(left, right, atol=2e-6, rtol=1e-5)


@cells
def test_three_layers_without_bias(cell, threads):
    layers = make(cell, 6, 20, bias=False, num_layers=3, bidirectional=True)
    assert_as_close_as_torch(layers, torch.randn(11, 50, 6), lengths=torch.randint(1, 12, (50,)))


@cells
def test_batch_first_and_strided_inputs(cell):
    layers = make(cell, 5, 16, batch_first=True)
    inputs = torch.randn(8, 6, 10)[:, :, ::2]
    outputs, _ = layers.outputs(inputs)
    expected, _ = on_torch(layers, torch.float32).outputs(inputs)
    assert outputs.is_contiguous()
    torch.testing.assert_close(outputs, expected, atol=1e-6, rtol=1e-5)


@cells
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_nan_and_inf_propagate_as_in_torch(cell, value):
    layers = make(cell, 4, 17, bidirectional=True)
    inputs = torch.randn(6, 3, 4)
    inputs[3, 1, 2] = value
    actual = run(layers, inputs, None, None, False)
    expected = run(on_torch(layers, torch.float32), inputs, None, None, False)
    for left, right in zip(actual, expected, strict=True):
        assert torch.equal(left.isnan(), right.isnan())
        assert torch.equal(left.isinf(), right.isinf())
        torch.testing.assert_close(left, right, atol=1e-6, rtol=1e-5, equal_nan=True)


@cells
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("time", [1, 6])
@pytest.mark.parametrize(
    "place", ["weight_ih_l0", "weight_hh_l0", "bias_hh_l0", "h", "c", "gradient"]
)
@pytest.mark.pairwise
def test_nan_and_inf_in_weights_states_and_gradients(cell, value, batch_size, time, place):
    """Results and gradients are finite exactly where those of torch are."""
    layers = make(cell, 4, 130)
    inputs = torch.randn(time, batch_size, 4)
    direction = torch.randn(time, batch_size, 130)
    states = None
    if place in ("h", "c"):
        states = dict(zip(layers.cell.states, make_states(layers, batch_size), strict=True))
        states.get(place, states["h"])[0, -1, 3] = value
        states = tuple(states.values())
    elif place == "gradient":
        direction[0, 0, 7] = value
    else:
        with torch.no_grad():
            getattr(layers, place)[5] = value
    found = []
    for model in (layers, on_torch(layers, torch.float32)):
        outputs, _ = model.outputs(inputs, states)
        gradients = torch.autograd.grad(outputs, list(model.parameters()), direction)
        found.append([outputs, *gradients])
    for left, right in zip(*found, strict=True):
        assert torch.equal(left.isfinite(), right.isfinite())


def test_infinite_cell_state_times_a_closed_gate_is_nan_as_in_torch():
    layers = make("lstm", 4, 20)
    with torch.no_grad():
        layers.bias_hh_l0[20:40] = -200  # makes the forget gate exactly 0
    states = (torch.zeros(1, 2, 20), torch.full((1, 2, 20), float("inf")))
    for model in (layers, on_torch(layers, torch.float32)):
        assert model.outputs(torch.randn(3, 2, 4), states)[0].isnan().all()


@cells
@pytest.mark.parametrize("scale", [1e4, 1e-39, 1e-30], ids=str)
def test_extreme_inputs(cell, scale):
    """1e4 saturates all gates; 1e-39 is denormal."""
    layers = make(cell, 4, 17, num_layers=2, bidirectional=True)
    inputs = scale * torch.randn(6, 3, 4).sign()
    assert_as_close_as_torch(layers, inputs)


@cells
def test_repeated_runs_give_the_same_bits(cell, threads):
    layers = make(cell, 28, 40, num_layers=2, bidirectional=True)
    inputs, lengths = torch.randn(20, 32, 28), torch.randint(1, 21, (32,))
    first = results_and_gradients(layers, inputs, None, lengths, False)
    for _ in range(5):
        again = results_and_gradients(layers, inputs, None, lengths, False)
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


@cells
@pytest.mark.parametrize("hidden_size", [12, 33, 64])
def test_row_order_does_not_change_bits(cell, hidden_size, threads):
    layer = make(cell, 5, hidden_size, num_layers=2, bidirectional=True, batch_first=True)
    for batch_size in (4, 7, 20, 33):
        inputs = torch.randn(batch_size, 9, 5)
        lengths = torch.randint(1, 10, (batch_size,))
        order = torch.randperm(batch_size)
        with torch.no_grad():
            outputs, _ = layer(inputs, lengths=lengths)
            mixed, _ = layer(inputs[order], lengths=lengths[order])
        assert torch.equal(mixed, outputs[order])


@cells
def test_inference_gives_the_same_bits_as_training(cell, threads):
    layers = make(cell, 9, 40, num_layers=2, bidirectional=True)
    inputs, lengths = torch.randn(30, 12, 9), torch.randint(1, 31, (12,))
    for last in (False, True):
        trained = run(layers, inputs, None, lengths, last)
        with torch.inference_mode():
            inferred = run(layers, inputs, None, lengths, last)
        assert all(torch.equal(a, b) for a, b in zip(trained, inferred, strict=True))


@cells
@pytest.mark.parametrize(("batch_size", "hidden_size"), [(6, 16), (1, 130)])
@pytest.mark.usefixtures("two_threads")
def test_dropout_masks_are_reused_in_the_backward_pass(cell, batch_size, hidden_size):
    """With create_graph, the call is repeated on torch with the same masks."""
    layers = make(cell, 5, hidden_size, num_layers=3, dropout=0.4, bidirectional=True)
    inputs = torch.randn(7, batch_size, 5, requires_grad=True)
    outputs, _ = layers.outputs(inputs)
    again, _ = layers.outputs(inputs)
    assert not torch.equal(outputs, again)
    sources = [inputs, *layers.parameters()]
    direction = torch.randn_like(outputs)
    plain = torch.autograd.grad(outputs, sources, direction, retain_graph=True)
    through_torch = torch.autograd.grad(outputs, sources, direction, create_graph=True)
    for actual, expected in zip(plain, through_torch, strict=True):
        torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-4)
    layers.eval()
    assert torch.equal(layers.outputs(inputs)[0], layers.outputs(inputs)[0])


@cells
@pytest.mark.parametrize("last", [False, True], ids=["all", "last"])
def test_second_derivatives(cell, last):
    layers = make(cell, 3, 8, bidirectional=True)
    inputs, lengths = torch.randn(5, 4, 3), torch.tensor([5, 2, 4, 1])

    def penalty(model):
        steps = inputs.to(model.weight_ih_l0.dtype).requires_grad_()
        total = sum(r.pow(2).sum() for r in run(model, steps, None, lengths, last))
        (slope,) = torch.autograd.grad(total, steps, create_graph=True)
        return torch.autograd.grad(slope.pow(2).sum(), list(model.parameters()), allow_unused=True)

    for actual, expected in zip(
        penalty(layers), penalty(on_torch(layers, torch.float64)), strict=True
    ):
        if expected is None:
            assert actual is None or (actual == 0).all()
        else:
            torch.testing.assert_close(actual.double(), expected, atol=1e-4, rtol=1e-3)


def test_retained_graph_gives_the_same_gradients_again():
    layers = make("gru", 4, 16, num_layers=2, bidirectional=True)
    outputs, _ = layers.outputs(torch.randn(6, 5, 4))
    direction = torch.randn_like(outputs)
    weights = list(layers.parameters())
    first = torch.autograd.grad(outputs, weights, direction, retain_graph=True)
    second = torch.autograd.grad(outputs, weights, direction, retain_graph=True)
    third = torch.autograd.grad(outputs, weights, direction)
    for a, b, c in zip(first, second, third, strict=True):
        assert torch.equal(a, b)
        assert torch.equal(a, c)
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(outputs, weights, direction)


def test_two_graphs_of_one_layer_are_independent():
    layers = make("lstm", 4, 16, bidirectional=True)
    one, other = torch.randn(6, 5, 4), torch.randn(6, 5, 4)
    weights = list(layers.parameters())
    alone = [
        torch.autograd.grad(layers.outputs(inputs)[0].sum(), weights) for inputs in (one, other)
    ]
    results = [layers.outputs(inputs)[0].sum() for inputs in (one, other)]
    together = [torch.autograd.grad(result, weights) for result in results]
    for actual, expected in zip(together, alone, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(actual, expected, strict=True))
    both = torch.autograd.grad(sum(layers.outputs(x)[0].sum() for x in (one, other)), weights)
    for total, a, b in zip(both, *alone, strict=True):
        torch.testing.assert_close(total, a + b, atol=1e-5, rtol=1e-5)


def test_modifying_weights_in_place_before_backward_raises():
    layers = make("lstm", 4, 16)
    outputs, _ = layers.outputs(torch.randn(6, 5, 4))
    with torch.no_grad():
        layers.weight_hh_l0.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        outputs.sum().backward()


def test_modifying_weights_through_data_before_backward_gives_the_gradients_of_torch():
    """torch uses the activations of the old weights and multiplies by the new weights."""
    gradients = []
    for backend in ("compiled", "torch"):
        layers = make("lstm", 4, 16, num_layers=2, backend=backend)
        inputs = torch.linspace(-1, 1, 120).reshape(6, 5, 4)
        outputs, _ = layers.outputs(inputs)
        layers.weight_ih_l1.data.mul_(2)
        gradients.append(torch.autograd.grad(outputs.sum(), list(layers.parameters())))
    for actual, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("batch_first", [False, True])
def test_outputs_are_not_modified_by_later_calls(batch_first):
    layers = make("rnn_tanh", 4, 16, batch_first=batch_first)
    first, (h_n,) = layers.outputs(torch.randn(6, 5, 4))
    kept = first.detach().clone(), h_n.detach().clone()
    layers.outputs(torch.randn(6, 5, 4))[0].sum().backward()
    assert torch.equal(first, kept[0])
    assert torch.equal(h_n, kept[1])
    twin = on_torch(layers, torch.float32)
    inputs = torch.randn(6, 5, 4)
    gradients = []
    for model in (layers, twin):
        outputs, _ = model.outputs(inputs)
        outputs.relu_()  # in place, as later layers may do
        gradients.append(torch.autograd.grad(outputs.sum(), list(model.parameters())))
    for actual, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)


class _NoGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, outputs):
        return outputs.clone()

    @staticmethod
    def backward(ctx, gradient):
        return None


@pytest.mark.parametrize("last", [False, True], ids=["all", "last"])
def test_no_gradient_at_all(last):
    layers = make("lstm", 4, 16, bidirectional=True)
    result = run(layers, torch.randn(6, 5, 4), None, None, last)[0]
    _NoGradient.apply(result).sum().backward()
    assert all(weight.grad is None or (weight.grad == 0).all() for weight in layers.parameters())


def test_batched_gradients():
    layers = make("gru", 4, 8)
    outputs, _ = layers.outputs(torch.randn(5, 3, 4))
    directions = torch.randn(3, *outputs.shape)
    weights = list(layers.parameters())
    batched = torch.autograd.grad(
        outputs, weights, directions, is_grads_batched=True, retain_graph=True
    )
    for n, direction in enumerate(directions):
        one = torch.autograd.grad(outputs, weights, direction, retain_graph=True)
        for actual, expected in zip(batched, one, strict=True):
            torch.testing.assert_close(actual[n], expected, atol=1e-5, rtol=1e-4)


def test_input_without_time_steps_raises():
    with pytest.raises(ShapeError, match=r"no steps.*expected at least 1"):
        make("lstm", 4, 8).outputs(torch.zeros(0, 2, 4))


def test_frozen_weights_and_unused_results():
    layers = make("lstm", 4, 16, num_layers=2, bidirectional=True)
    twin = on_torch(layers, torch.float32)
    for model in (layers, twin):
        model.weight_hh_l0.requires_grad_(False)
        _, (h_n, _) = model.outputs(torch.linspace(-1, 1, 120).reshape(6, 5, 4))
        h_n[1].sum().backward()
    assert layers.weight_hh_l0.grad is None
    for actual, expected in zip(layers.parameters(), twin.parameters(), strict=True):
        if actual.requires_grad:
            torch.testing.assert_close(actual.grad, expected.grad, atol=1e-6, rtol=1e-5)


def test_gradients_of_a_subset_of_the_tensors():
    layers = make("gru", 4, 16)
    inputs = torch.randn(6, 5, 4, requires_grad=True)
    outputs, _ = layers.outputs(inputs)
    everything = torch.autograd.grad(
        outputs.sum(), [inputs, *layers.parameters()], retain_graph=True
    )
    only_weights = torch.autograd.grad(outputs.sum(), list(layers.parameters()), retain_graph=True)
    (only_inputs,) = torch.autograd.grad(outputs.sum(), inputs)
    assert torch.equal(only_inputs, everything[0])
    assert all(torch.equal(a, b) for a, b in zip(only_weights, everything[1:], strict=True))


def test_an_empty_batch_runs_on_torch():
    layers = make("lstm", 4, 8, backend="auto")
    outputs, (h_n, _) = layers.outputs(torch.zeros(3, 0, 4))
    assert outputs.shape == (3, 0, 8)
    assert h_n.shape == (1, 0, 8)


def test_concurrent_calls(threads):
    layers = make("lstm", 8, 24, num_layers=2, bidirectional=True)
    batches = [torch.randn(9, 16, 8) for _ in range(4)]
    weights = list(layers.parameters())
    expected = [torch.autograd.grad(layers.outputs(b)[0].sum(), weights) for b in batches]
    wrong = []

    def work(number):
        for _ in range(20):
            actual = torch.autograd.grad(layers.outputs(batches[number])[0].sum(), weights)
            if not all(torch.equal(a, b) for a, b in zip(actual, expected[number], strict=True)):
                wrong.append(number)

    workers = [threading.Thread(target=work, args=(n,)) for n in range(len(batches))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_after_fork():
    """A forked child computes the same results after its parent has used the engine's threads."""
    code = """
import os, torch, bothways.nn
torch.manual_seed(0)
layers = bothways.nn.LSTM(28, 64, num_layers=2, bidirectional=True, backend="compiled")
inputs = torch.randn(28, 64, 28)
# Comparing bytes avoids torch's operators, whose threads hang in the child.
expected = layers.outputs(inputs)[0].detach().numpy().tobytes()
child = os.fork()
if child == 0:
    os._exit(0 if layers.outputs(inputs)[0].detach().numpy().tobytes() == expected else 1)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    command = [sys.executable, "-W", "ignore", "-c", code]
    assert subprocess.run(command, timeout=60).returncode == 0


def test_training_step_reuses_the_memory_of_the_previous_step():
    layers = make("lstm", 8, 32, bidirectional=True)
    inputs = torch.randn(200, 16, 8)

    def step():
        layers.outputs(inputs)[0].sum().backward()

    step()
    gc.collect()
    before = {block.address for block in workspace.blocks._free}
    assert len(before) >= 2  # one for the forward pass, one for the backward pass
    for _ in range(10):
        step()
    assert {block.address for block in workspace.blocks._free} == before


@pytest.mark.parametrize(
    ("reason", "change"),
    [
        ("torch.float64", lambda layers: layers.double()),
        ("meta", lambda layers: layers.to("meta")),
    ],
)
def test_unsupported_dtypes_and_devices(reason, change):
    layers = change(make("lstm", 4, 8))
    with pytest.raises(BackendError, match=reason):
        _ = layers.backend_choice
    layers.backend = "auto"
    assert layers.backend_choice.name == "torch"
    assert reason in layers.backend_choice.reason


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported")
@pytest.mark.filterwarnings("ignore:`torch.jit.trace:DeprecationWarning")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_tracing_transforms_and_autocast_run_on_torch():
    projected = bothways.nn.LSTM(4, 8, proj_size=3)
    assert "proj_size" in projected.backend_choice.reason
    layers = make("gru", 4, 8, backend="auto")
    assert layers.backend_choice.name == "compiled"
    inputs = torch.randn(3, 2, 4)
    with torch.autocast("cpu", torch.bfloat16):
        assert "autocast" in layers.backend_choice.reason
    traced = torch.jit.trace(layers, inputs, check_trace=False)
    torch.testing.assert_close(traced(inputs)[0], layers(inputs)[0], atol=1e-6, rtol=1e-5)
    weights = dict(layers.named_parameters())

    def loss(weights, steps):
        return torch.func.functional_call(layers, weights, (steps,))[0].sum()

    actual = torch.func.grad(loss)(weights, inputs)
    expected = torch.autograd.grad(loss(weights, inputs), list(weights.values()))
    for left, right in zip(actual.values(), expected, strict=True):
        torch.testing.assert_close(left, right, atol=1e-5, rtol=1e-4)


@cells
def test_padding_is_not_computed(cell):
    layers = make(cell, 4, 8, num_layers=2, bidirectional=True)
    lengths = torch.tensor([5, 2, 4, 1, 1])
    counters.reset()
    layers.outputs(torch.randn(9, 5, 4), lengths=lengths)
    assert counters.row_steps == 2 * 2 * int(lengths.sum())
    counters.reset()
    layers.last_outputs(torch.randn(9, 5, 4), lengths=lengths)
    assert counters.row_steps == 3 * int(lengths.sum()) + len(
        lengths
    )  # one step in the top backward direction


def test_default_recipe_runs_every_step_on_the_compiled_engine(monkeypatch):
    def refuse(*_):
        raise AssertionError("a step ran on the torch backend")

    monkeypatch.setattr(torch_backend, "outputs", refuse)
    monkeypatch.setattr(torch_backend, "last_outputs", refuse)
    generator = np.random.default_rng(0)
    lengths = generator.integers(1, 9, 50)
    arrays = [generator.normal(size=(length, 3)).astype(np.float32) for length in lengths]
    sequences = Sequences.from_arrays(arrays, np.arange(50) % 2)
    recipe = load_recipe("default")
    model = SequenceClassifier(
        ModelConfig.for_data(recipe.model, input_size=3, num_classes=2, longest=8)
    )
    config = recipe.training.model_copy(update={"epochs": 2, "batch_size": 8})
    counters.reset()
    steps = sum(
        isinstance(event, StepDone) for event in Training(model, sequences, config).events()
    )
    assert counters.backward == counters.forward == steps == 14
    assert counters.row_steps == 2 * 4 * lengths.sum()  # epochs; layers in both directions


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="x86 only")
@pytest.mark.parametrize("cell", ["rnn_tanh", "gru", "lstm"])
def test_denormal_numbers_are_zero_in_the_engine_and_nowhere_else(cell):
    """Operations on denormal numbers take over a hundred cycles on processors of Intel."""
    layers = make(cell, 3, 8, bidirectional=True)
    inputs = torch.randn(5, 4, 3, requires_grad=True)
    outputs = layers(inputs)[0]
    outputs.backward(torch.full_like(outputs, 1e-39))
    for gradient in (inputs.grad, *(weight.grad for weight in layers.parameters())):
        assert (gradient == 0).all()
    assert torch.full((4,), 1e-38).mul(0.1).min() > 0  # in torch, after a call of the engine
    outputs = layers(inputs)[0]
    outputs.backward(torch.full_like(outputs, 1e-30))
    assert inputs.grad.abs().max() > 0


@pytest.mark.parametrize("wrong", ["double", "shape"])
def test_inconsistent_weights_raise(wrong):
    layers = make("lstm", 4, 8)
    if wrong == "double":
        layers.weight_hh_l0 = torch.nn.Parameter(layers.weight_hh_l0.detach().double())
    else:
        layers.weight_hh_l0 = torch.nn.Parameter(torch.randn(32, 3))
    with pytest.raises(ShapeError, match="expected"):
        layers.outputs(torch.randn(3, 2, 4))
