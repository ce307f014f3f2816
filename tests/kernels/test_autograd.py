"""Gradients of calls that depend on each other, and the memory that a graph keeps for backward.

Tolerance: each derivative amplifies the float32 rounding errors of the previous one, here up to
1e-6 relative for the third. If a path through the graph is counted twice, gradients change by 0.1
or more.
"""

import copy
import gc
import subprocess
import sys

import pytest
import torch
from torch.utils.checkpoint import checkpoint

import bothways.nn
from bothways.kernels import torch_backend
from bothways.kernels.compiled.stats import counters

SIZE = 4  # of inputs and hidden states, so that a layer can process its outputs again


def windows(layer, x):
    first, state = layer(x[:3])
    second, _ = layer(x[3:], state)
    return first.square().sum() + second.square().sum()


def single_steps(layer, x):
    state, total = None, 0
    for step in x:
        outputs, state = layer(step[None], state)
        total = total + outputs.square().sum()
    return total


def applied_twice(layer, x):
    return layer(layer(x)[0])[0].square().sum()


def state_from_inputs(layer, x):
    h_0 = x.mean(dim=0, keepdim=True).tanh()
    state = (h_0, 2 * h_0) if isinstance(layer, bothways.nn.LSTM) else h_0
    return layer(x, state)[0].square().sum()


def tied_weights(layer, x):
    layer.weight_ih_l0 = layer.weight_hh_l0
    return layer(x)[0].square().sum()


def inner_step(layer, x):
    """Apply one step of gradient descent inside the loss, as in MAML."""
    names, weights = zip(*layer.named_parameters(), strict=True)
    loss = layer(x[:3])[0].square().sum()
    slopes = torch.autograd.grad(loss, weights, create_graph=True)
    changed = {n: w - 0.1 * s for n, w, s in zip(names, weights, slopes, strict=True)}
    return torch.func.functional_call(layer, changed, (x[3:],))[0].square().sum()


KINDS = [windows, single_steps, applied_twice, state_from_inputs, tied_weights, inner_step]
CELLS = {"rnn": "RNN", "gru": "GRU", "lstm": "LSTM"}
cells = pytest.mark.parametrize("cell", CELLS)


def make(cell, **options):
    torch.manual_seed(0)
    return getattr(bothways.nn, CELLS[cell])(SIZE, SIZE, backend="compiled", **options)


def exact(layer):
    """Return the same layer in float64 on the reference backend."""
    other = copy.deepcopy(layer).double()
    other.backend = "reference"
    return other


def derivatives(kind, layer, orders):
    """Return the gradients of the weights and inputs, of the sum of their squares, and so on."""
    dtype = layer.weight_hh_l0.dtype
    x = torch.linspace(-1, 1, 6 * 2 * SIZE, dtype=dtype).sin().view(6, 2, SIZE).requires_grad_()
    total = kind(layer, x)
    sources = [x, *layer.parameters()]
    found = []
    for _ in range(orders):
        slopes = torch.autograd.grad(total, sources, create_graph=True, materialize_grads=True)
        found.append(slopes)
        total = sum(slope.square().sum() for slope in slopes)
    return found


def assert_close(actual, expected):
    largest = max(float(other.detach().abs().max()) for other in expected)
    for left, right in zip(actual, expected, strict=True):
        torch.testing.assert_close(left.double(), right, rtol=1e-4, atol=1e-5 * largest)


@cells
@pytest.mark.parametrize("kind", KINDS)
def test_derivatives_of_dependent_calls(cell, kind):
    layer = make(cell)
    orders = 3 if kind is not inner_step else 2
    actual, expected = (derivatives(kind, model, orders) for model in (layer, exact(layer)))
    for left, right in zip(actual, expected, strict=True):
        assert_close(left, right)


@cells
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "bidirectional"])
@pytest.mark.parametrize("lengths", [None, [6, 2]], ids=["padded", "ragged"])
def test_batched_gradients_of_dependent_calls(cell, bidirectional, lengths):
    layer = make(cell, bidirectional=bidirectional, num_layers=2)
    found = []
    for model in (layer, exact(layer)):
        dtype = model.weight_hh_l0.dtype
        x = torch.linspace(-1, 1, 6 * 2 * SIZE, dtype=dtype).sin().view(6, 2, SIZE)

        def pooled(x, model=model):
            outputs, state = model(x, lengths=lengths)
            return model(x, state, lengths=lengths)[0].sum(dim=(0, 2)) + outputs[0, 0, 0]

        found.append(torch.autograd.functional.jacobian(pooled, x, vectorize=True))
    assert_close(found[:1], found[1:])


def test_hooks_run_once_under_create_graph():
    layer = make("gru")
    calls = []
    x = torch.ones(6, 2, SIZE, requires_grad=True)
    h_0 = x.mean(dim=0, keepdim=True)
    h_0.register_hook(lambda gradient: calls.append("h_0"))
    outputs, state = layer(x[:3], h_0)
    state.register_hook(lambda gradient: calls.append("state"))
    loss = outputs.sum() + layer(x[3:], state)[0].sum()
    torch.autograd.grad(loss, x, create_graph=True)
    assert sorted(calls) == ["h_0", "state"]


def test_each_call_is_repeated_once_under_create_graph(monkeypatch):
    """If the graphs were connected, the number of repetitions would double with each step."""
    repeated = []
    original = torch_backend.outputs

    def count(*arguments):
        repeated.append(arguments)
        return original(*arguments)

    monkeypatch.setattr(torch_backend, "outputs", count)
    x = torch.ones(14, 2, SIZE, requires_grad=True)
    torch.autograd.grad(single_steps(make("lstm"), x), x, create_graph=True)
    assert len(repeated) == 14


def test_double_backward_inside_autocast_has_the_precision_of_the_forward_pass():
    layer = make("lstm")
    x = torch.linspace(-1, 1, 6 * 2 * SIZE).view(6, 2, SIZE).requires_grad_()
    results = []
    for autocast in (False, True):
        total = windows(layer, x)
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            results.append(torch.autograd.grad(total, x, create_graph=True)[0])
    assert torch.equal(*results)


def saved_bytes(function):
    """Return the bytes of all tensors that the graph of a function saves, each storage once."""
    saved = {}

    def pack(tensor):
        saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = function()
    assert result.requires_grad
    return sum(saved.values())


@cells
def test_graph_of_single_steps_saves_little_more_memory_than_torch(cell):
    """Memory kept until backward must not be as large as the packed weights."""
    x = torch.randn(50, 4, 64)

    def decode(layer):
        state, outputs = None, []
        for step in x:
            output, state = layer(step[None], state)
            outputs.append(output)
        return torch.cat(outputs)

    ours = getattr(bothways.nn, CELLS[cell])(64, 256, backend="compiled")
    theirs = getattr(torch.nn, CELLS[cell])(64, 256)
    assert saved_bytes(lambda: decode(ours)) <= 1.5 * saved_bytes(lambda: decode(theirs))


@cells
def test_everything_that_backward_needs_is_in_saved_tensors(cell):
    """If hooks move the saved tensors, as offloading does, gradients have the same bits."""
    layer = make(cell, num_layers=2, bidirectional=True, dropout=0.5)
    x = torch.randn(6, 3, SIZE)
    results = []
    for pack, unpack in [(lambda t: t, lambda t: t), (lambda t: t.numpy().copy(), torch.tensor)]:
        torch.manual_seed(1)
        with torch.autograd.graph.saved_tensors_hooks(
            lambda tensor, pack=pack: pack(tensor.detach()), unpack
        ):
            total = layer(x)[0].square().sum()
        gc.collect()
        results.append(torch.autograd.grad(total, list(layer.parameters())))
    for left, right in zip(*results, strict=True):
        assert torch.equal(left, right)


@cells
def test_checkpointing_saves_only_the_inputs_of_a_segment(cell):
    layer = make(cell, num_layers=2, bidirectional=True, dropout=0.5)
    x = torch.randn(40, 8, SIZE, requires_grad=True)

    def segments(wrapped):
        torch.manual_seed(1)
        return sum(wrapped(part).square().sum() for part in x.split(10))

    def run(part):
        return layer(part)[0]

    plain = torch.autograd.grad(segments(run), [x, *layer.parameters()])
    counters.reset()
    total = segments(lambda part: checkpoint(run, part, use_reentrant=False))
    recomputed = torch.autograd.grad(total, [x, *layer.parameters()])
    assert counters.forward == 8  # all four segments are recomputed, so nothing was kept
    for left, right in zip(recomputed, plain, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-5, atol=1e-5)


PEAK = """
import resource, torch, bothways.nn
layer = bothways.nn.GRU(1, 1, backend="compiled")
inputs = torch.randn(600, 20_000, 1)
with torch.no_grad():
    layer(inputs[:, :8])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outputs, h_n = layer(inputs)
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    few, h_few = layer(inputs[:, 5_000:5_040])
assert torch.equal(outputs[:, 5_000:5_040], few) and torch.equal(h_n[:, 5_000:5_040], h_few)
print(used // 1024)
"""


def test_inference_of_a_large_batch_runs_in_slices():
    """Outputs are 48 MB; scratch memory for all rows at once would be 1.4 GB."""
    command = [sys.executable, "-c", PEAK]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(result.stdout) < 48 + 200


@cells
@pytest.mark.parametrize("last", [False, True], ids=["all", "last"])
@pytest.mark.parametrize("ragged", [False, True], ids=["padded", "ragged"])
def test_slices_give_the_results_of_the_whole_batch(monkeypatch, cell, last, ragged):
    layer = make(cell, num_layers=2, bidirectional=True)
    inputs = torch.randn(9, 100, SIZE)
    count = 2 if cell == "lstm" else 1
    states = tuple(torch.randn(4, 100, SIZE) for _ in range(count))
    lengths = torch.randint(1, 10, (100,)) if ragged else None

    def run():
        with torch.no_grad():
            if last:
                return [layer.last_outputs(inputs, states, lengths=lengths)]
            outputs, final = layer.outputs(inputs, states, lengths=lengths)
            return [outputs, *final]

    whole = run()
    counters.reset()
    monkeypatch.setattr("bothways.kernels.compiled.passes._SLICE_BYTES", 10_000)
    for left, right in zip(run(), whole, strict=True):
        assert torch.equal(left, right)
    assert counters.forward == 6
