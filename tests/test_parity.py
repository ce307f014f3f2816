"""All kernels match the outputs, final states and gradients of torch.nn, padded and ragged.

Tolerances: sums of a few hundred products differ only by their order. In float64, 1e-10 is 1e3
times the largest observed difference; in float32, 1e-5 for values around 1 is chosen likewise.
"""

import itertools

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import bothways.nn

TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}
CELLS = [
    ("RNN", {"nonlinearity": "tanh"}),
    ("RNN", {"nonlinearity": "relu"}),
    ("GRU", {}),
    ("LSTM", {}),
    ("LSTM", {"proj_size": 2}),
]
CELL_IDS = ["rnn_tanh", "rnn_relu", "gru", "lstm", "lstm_projected"]
LENGTHS = {"padded": None, "ragged": [3, 7, 1, 7], "shorter_than_time": [2, 5, 5, 1]}
INPUT_SIZE, HIDDEN_SIZE, TIME, BATCH = 3, 5, 7, 4

# A warning that torch emits once for its own layers with proj_size.
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported")

cells = pytest.mark.parametrize(("kind", "options"), CELLS, ids=CELL_IDS)
# The compiled engine supports float32 only; kernels/test_compiled.py compares it with float64.
backends = pytest.mark.parametrize("backend", ["torch", "reference"])


def make_pair(kind, options, backend="auto", dtype=torch.float64, **more):
    """Return layers of bothways and of torch with the same weights."""
    torch.manual_seed(0)
    arguments = {"hidden_size": HIDDEN_SIZE, "dtype": dtype, **options, **more}
    theirs = getattr(torch.nn, kind)(INPUT_SIZE, **arguments)
    ours = getattr(bothways.nn, kind)(INPUT_SIZE, backend=backend, **arguments)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def make_states(layers, batch_size=BATCH):
    """Return random initial states for the layers; they require gradients."""
    count = layers.num_layers * (2 if layers.bidirectional else 1)
    dtype = layers.weight_ih_l0.dtype
    h_0 = torch.randn(
        count, batch_size, layers.proj_size or layers.hidden_size, dtype=dtype, requires_grad=True
    )
    if layers.mode != "LSTM":
        return h_0
    c_0 = torch.randn(count, batch_size, layers.hidden_size, dtype=dtype, requires_grad=True)
    return h_0, c_0


def flat(result):
    """Return all tensors of nested tuples in one list."""
    if isinstance(result, torch.Tensor):
        return [result]
    return [tensor for part in result for tensor in flat(part)]


def run_torch(layers, inputs, states, lengths):
    """Run layers of torch.nn; ragged batches are packed."""
    if lengths is None:
        return layers(inputs, states)
    packed = pack_padded_sequence(inputs, lengths, enforce_sorted=False)
    outputs, final = layers(packed, states)
    return pad_packed_sequence(outputs, total_length=len(inputs))[0], final


def gradients(result, sources):
    """Return the gradients of a fixed random linear combination of all elements of `result`."""
    generator = torch.Generator().manual_seed(1)
    total = sum(
        (t * torch.randn(t.shape, dtype=t.dtype, generator=generator)).sum() for t in flat(result)
    )
    return torch.autograd.grad(total, sources)


def assert_close(ours, theirs, dtype=torch.float64):
    tolerance = TOLERANCE[dtype]
    for actual, expected in zip(flat(ours), flat(theirs), strict=True):
        torch.testing.assert_close(actual, expected, atol=tolerance, rtol=tolerance)


@cells
@backends
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "bidirectional"])
@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("with_states", [False, True], ids=["zeros", "states"])
@pytest.mark.pairwise
def test_results_and_gradients_match_torch(
    kind, options, backend, bidirectional, num_layers, lengths, with_states
):
    ours, theirs = make_pair(
        kind, options, backend, bidirectional=bidirectional, num_layers=num_layers
    )
    inputs = torch.randn(TIME, BATCH, INPUT_SIZE, dtype=torch.float64, requires_grad=True)
    states = make_states(ours) if with_states else None
    actual = ours(inputs, states, lengths=lengths)
    expected = run_torch(theirs, inputs, states, lengths)
    assert_close(actual, expected)
    shared = [inputs, *(flat(states) if with_states else [])]
    assert_close(
        gradients(actual, [*shared, *ours.parameters()]),
        gradients(expected, [*shared, *theirs.parameters()]),
    )


@cells
@backends
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "bidirectional"])
@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
def test_last_outputs_match_all_outputs(kind, options, backend, bidirectional, num_layers, lengths):
    """Running one step of the top backward direction gives the same results and gradients."""
    ours, theirs = make_pair(
        kind, options, backend, bidirectional=bidirectional, num_layers=num_layers
    )
    inputs = torch.randn(TIME, BATCH, INPUT_SIZE, dtype=torch.float64, requires_grad=True)
    states = make_states(ours)
    hx = states if isinstance(states, tuple) else (states,)
    actual = ours.last_outputs(inputs, hx, lengths=lengths)
    outputs, _ = run_torch(theirs, inputs, states, lengths)
    expected = outputs[torch.tensor(lengths or [TIME] * BATCH) - 1, torch.arange(BATCH)]
    assert_close(actual, expected)
    shared = [inputs, *flat(states)]
    assert_close(
        gradients(actual, [*shared, *ours.parameters()]),
        gradients(expected, [*shared, *theirs.parameters()]),
    )


@backends
@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
def test_unneeded_weights_of_last_get_zero_gradients(backend, lengths):
    """The gradients are zeros, not None, because optimizers skip weights without gradients."""
    ours, _ = make_pair("LSTM", {}, backend, bidirectional=True)
    ours.last_outputs(
        torch.randn(TIME, BATCH, INPUT_SIZE, dtype=torch.float64), lengths=lengths
    ).sum().backward()
    assert all(parameter.grad is not None for parameter in ours.parameters())
    assert (ours.weight_hh_l0_reverse.grad == 0).all()
    assert (ours.weight_ih_l0_reverse.grad != 0).any()


@cells
@pytest.mark.parametrize(
    ("time", "batch_size", "hidden_size"), [(1, 1, 1), (63, 2, 17), (5, 33, 3), (2, 1, 64)]
)
@pytest.mark.parametrize("ragged", [False, True], ids=["padded", "ragged"])
def test_awkward_sizes_in_float32(kind, options, time, batch_size, hidden_size, ragged):
    options = {k: v for k, v in options.items() if k != "proj_size" or hidden_size > v}
    ours, theirs = make_pair(
        kind,
        {**options, "hidden_size": hidden_size},
        dtype=torch.float32,
        bidirectional=True,
        num_layers=2,
    )
    lengths = torch.randint(1, time + 1, (batch_size,)) if ragged else None
    inputs = torch.randn(time, batch_size, INPUT_SIZE, requires_grad=True)
    actual = ours(inputs, lengths=lengths)
    expected = run_torch(theirs, inputs, None, lengths)
    assert_close(actual, expected, torch.float32)
    scale = batch_size * time  # number of steps that gradients sum over
    for left, right in zip(
        gradients(actual, [inputs, *ours.parameters()]),
        gradients(expected, [inputs, *theirs.parameters()]),
        strict=True,
    ):
        torch.testing.assert_close(left / scale, right / scale, atol=1e-5, rtol=1e-5)


@cells
@pytest.mark.parametrize("last", [False, True], ids=["all", "last"])
def test_gradcheck(kind, options, last):
    """Analytic and numeric gradients agree for inputs, initial states and weights."""
    ours, _ = make_pair(kind, {**options, "hidden_size": 3}, bidirectional=True)
    inputs = torch.randn(4, 2, INPUT_SIZE, dtype=torch.float64, requires_grad=True)
    states = flat(make_states(ours, batch_size=2))
    names = [name for name, _ in ours.named_parameters()]

    def function(steps, *tensors):
        weights = dict(zip(names, tensors[len(states) :], strict=True))
        run = torch.func.functional_call
        module = _Call(ours, last)
        prefixed = {f"layers.{name}": weight for name, weight in weights.items()}
        return run(module, prefixed, (steps, tensors[: len(states)]))

    assert torch.autograd.gradcheck(function, (inputs, *states, *ours.parameters()))


class _Call(torch.nn.Module):
    """A module that calls the layers on a ragged batch, for functional_call."""

    def __init__(self, layers, last):
        super().__init__()
        self.layers = layers
        self.last = last

    def forward(self, steps, states):
        if self.last:
            return self.layers.last_outputs(steps, states, lengths=[4, 2])
        outputs, final = self.layers.outputs(steps, states, lengths=[4, 2])
        return (outputs, *final)


@cells
@backends
@pytest.mark.parametrize("lengths", [[3, 7, 1, 7], [2, 5, 5, 1]], ids=["ragged", "shorter"])
def test_nan_in_the_padding_has_no_effect(kind, options, backend, lengths):
    ours, _ = make_pair(kind, options, backend, bidirectional=True, num_layers=2)
    clean = torch.randn(TIME, BATCH, INPUT_SIZE, dtype=torch.float64)
    dirty = clean.clone()
    for row, length in enumerate(lengths):
        clean[length:, row] = 0.0
        dirty[length:, row] = float("nan")
    for run in (ours, ours.last_outputs):
        result, expected = run(dirty, lengths=lengths), run(clean, lengths=lengths)
        assert_close(result, expected)
        for actual, other in zip(
            gradients(result, list(ours.parameters())),
            gradients(expected, list(ours.parameters())),
            strict=True,
        ):
            assert torch.equal(actual, other)


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_large_values_agree_on_ragged_input(kind):
    """The is-padding column adds 1e4 to a gate; inputs of that size must not change the gate."""
    ours, theirs = make_pair(kind, {}, bidirectional=True)
    inputs = 1e4 * torch.randn(TIME, BATCH, INPUT_SIZE, dtype=torch.float64)
    assert_close(
        ours(inputs, lengths=LENGTHS["ragged"]),
        run_torch(theirs, inputs, None, LENGTHS["ragged"]),
    )


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_dropout_draws_the_same_random_numbers_as_torch(kind, training):
    """The same seed drops the same outputs of padded batches; evaluation drops none."""
    ours, theirs = make_pair(kind, {}, num_layers=3, dropout=0.5, bidirectional=True)
    ours.train(training)
    theirs.train(training)
    inputs = torch.randn(TIME, BATCH, INPUT_SIZE, dtype=torch.float64)
    torch.manual_seed(3)
    actual = ours(inputs)
    torch.manual_seed(3)
    assert_close(actual, theirs(inputs))


@backends
def test_dropout_between_ragged_layers_keeps_the_expected_value(backend):
    """The mean of 400 draws differs from the value without dropout by sampling error only."""
    ours, _ = make_pair("RNN", {"nonlinearity": "relu"}, backend, num_layers=2, dropout=0.5)
    for name, weight in ours.named_parameters():
        # An identity after a sum of positive numbers: the outputs are linear in the masks.
        weight.data = torch.eye(*weight.shape) if name == "weight_ih_l1" else weight.abs()
        weight.data *= not name.startswith("weight_hh_l1")
    ours.double()
    inputs = torch.rand(TIME, BATCH, INPUT_SIZE, dtype=torch.float64)
    with torch.no_grad():
        draws = torch.stack([ours(inputs, lengths=LENGTHS["ragged"])[0] for _ in range(400)])
        ours.eval()
        expected, _ = ours(inputs, lengths=LENGTHS["ragged"])
        again, _ = ours(inputs, lengths=LENGTHS["ragged"])
    assert torch.equal(expected, again)
    assert (draws.std(dim=0)[expected > 0] > 0).all()
    # A sum of masks of variance 1 over 400 draws deviates by 0.05 of the value; 5 deviations.
    torch.testing.assert_close(draws.mean(dim=0), expected, rtol=0.25, atol=0)


def test_backends_agree_in_every_combination():
    """The tests above compare each backend with torch; this one compares them in float32."""
    for (kind, options), lengths in itertools.product(CELLS, LENGTHS.values()):
        results = []
        for backend in ("torch", "reference"):
            ours, _ = make_pair(kind, options, backend, dtype=torch.float32, bidirectional=True)
            torch.manual_seed(2)
            results.append(ours(torch.randn(TIME, BATCH, INPUT_SIZE), lengths=lengths))
        assert_close(results[0], results[1], torch.float32)
