"""The layers replace those of torch.nn: constructor, state dict, calls and error messages."""

import copy
import inspect
import pickle

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pack_sequence, pad_packed_sequence

import bothways.nn
from bothways.errors import BackendError, ConfigError, ShapeError

# A warning that torch emits once for its own layers with proj_size.
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported")

KINDS = ["RNN", "GRU", "LSTM"]
each_kind = pytest.mark.parametrize("kind", KINDS)


def make(kind, *args, **kwargs):
    torch.manual_seed(0)
    return getattr(bothways.nn, kind)(*args, **kwargs)


def make_torch(kind, *args, **kwargs):
    torch.manual_seed(0)
    return getattr(torch.nn, kind)(*args, **kwargs)


@each_kind
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_weights_have_the_names_order_and_initial_values_of_torch(kind, bidirectional, bias):
    options = {"num_layers": 2, "bias": bias, "bidirectional": bidirectional}
    ours, theirs = make(kind, 3, 5, **options), make_torch(kind, 3, 5, **options)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for name, weight in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], weight)


@each_kind
def test_state_dicts_load_both_ways(kind):
    ours, theirs = make(kind, 3, 5, num_layers=2), getattr(torch.nn, kind)(3, 5, num_layers=2)
    inputs = torch.randn(4, 2, 3)
    theirs.load_state_dict(ours.state_dict())
    torch.testing.assert_close(ours(inputs)[0], theirs(inputs)[0])
    fresh = getattr(bothways.nn, kind)(3, 5, num_layers=2)
    fresh.load_state_dict(theirs.state_dict())
    torch.testing.assert_close(fresh(inputs)[0], theirs(inputs)[0])


@each_kind
def test_constructor_has_the_arguments_of_torch_in_the_same_order(kind):
    positional = {
        "RNN": (3, 5, 2, "relu", False, True, 0.0, True),
        "GRU": (3, 5, 2, False, True, 0.0, True),
        "LSTM": (3, 5, 2, False, True, 0.0, True, 4),
    }[kind]
    ours, theirs = make(kind, *positional), make_torch(kind, *positional)
    inputs = torch.randn(2, 6, 3)
    torch.testing.assert_close(ours(inputs)[0], theirs(inputs)[0])
    assert repr(ours) == repr(theirs)


def test_only_keywords_are_added_to_the_signatures_of_torch():
    parameters = inspect.signature(bothways.nn.LSTM).parameters
    extra = [name for name in parameters if parameters[name].kind is inspect.Parameter.KEYWORD_ONLY]
    assert extra == ["backend", "precision"]
    call = inspect.signature(bothways.nn.LSTM.forward).parameters
    assert list(call) == ["self", "input", "hx", "lengths"]


@each_kind
def test_is_a_torch_recurrent_module(kind):
    assert isinstance(make(kind, 3, 5), torch.nn.RNNBase)


@each_kind
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_unbatched_input_and_states(kind, batch_first, bidirectional):
    options = {"batch_first": batch_first, "bidirectional": bidirectional}
    ours, theirs = make(kind, 3, 5, **options), make_torch(kind, 3, 5, **options)
    state = torch.randn(2 if bidirectional else 1, 5)
    hx = (state, state.flip(0)) if kind == "LSTM" else state
    actual, expected = ours(torch.ones(6, 3), hx), theirs(torch.ones(6, 3), hx)
    assert actual[0].shape == expected[0].shape
    torch.testing.assert_close(actual, expected)
    last = ours.last_outputs(torch.ones(6, 3))
    torch.testing.assert_close(last, theirs(torch.ones(6, 3))[0][-1])


@each_kind
def test_batch_first_with_lengths(kind):
    ours = make(kind, 3, 5, batch_first=True, bidirectional=True)
    time_major = make(kind, 3, 5, bidirectional=True)
    inputs, lengths = torch.randn(4, 6, 3), [6, 1, 4, 3]
    outputs, final = ours(inputs, lengths=lengths)
    expected, expected_final = time_major(inputs.transpose(0, 1), lengths=lengths)
    assert torch.equal(outputs, expected.transpose(0, 1))
    torch.testing.assert_close(final, expected_final, atol=0, rtol=0)


@each_kind
def test_outputs_are_zero_past_each_length(kind):
    outputs, _ = make(kind, 3, 5, batch_first=True)(torch.randn(2, 6, 3), lengths=[6, 4])
    assert (outputs[1, 4:] == 0).all()
    assert (outputs[1, :4] != 0).all()


@each_kind
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("enforce_sorted", [False, True])
def test_packed_sequences_return_packed_sequences(kind, batch_first, enforce_sorted):
    lengths = [6, 4, 4, 1] if enforce_sorted else [4, 6, 1, 4]
    options = {"batch_first": batch_first, "bidirectional": True}
    ours, theirs = make(kind, 3, 5, **options), make_torch(kind, 3, 5, **options)
    inputs = torch.randn(4, 6, 3) if batch_first else torch.randn(6, 4, 3)
    packed = pack_padded_sequence(
        inputs, torch.tensor(lengths), batch_first=batch_first, enforce_sorted=enforce_sorted
    )
    (actual, my_states), (expected, states) = ours(packed), theirs(packed)
    torch.testing.assert_close(actual.data, expected.data)
    assert torch.equal(actual.batch_sizes, expected.batch_sizes)
    for left, right in (
        (actual.sorted_indices, expected.sorted_indices),
        (actual.unsorted_indices, expected.unsorted_indices),
    ):
        assert (left is None and right is None) or torch.equal(left, right)
    torch.testing.assert_close(my_states, states)
    assert pad_packed_sequence(actual)[1].tolist() == lengths


def test_packed_sequence_with_lengths_raises():
    packed = pack_sequence([torch.ones(2, 3)])
    with pytest.raises(ShapeError, match="Omit lengths"):
        make("GRU", 3, 5)(packed, lengths=[2])


@each_kind
def test_gradients_reach_initial_states(kind):
    layers = make(kind, 3, 5)
    state = torch.randn(1, 2, 5, requires_grad=True)
    hx = (state, torch.zeros(1, 2, 5)) if kind == "LSTM" else state
    layers(torch.randn(4, 2, 3), hx, lengths=[4, 2])[0].sum().backward()
    assert (state.grad != 0).all()


@each_kind
def test_survives_deepcopy_and_pickle(kind):
    layers = make(kind, 3, 5, bidirectional=True)
    inputs = torch.randn(4, 2, 3)
    for copied in (copy.deepcopy(layers), pickle.loads(pickle.dumps(layers))):
        assert torch.equal(copied(inputs)[0], layers(inputs)[0])


def test_float64_layers_run_in_float64():
    outputs, _ = make("LSTM", 3, 5, dtype=torch.float64)(torch.ones(2, 1, 3, dtype=torch.float64))
    assert outputs.dtype == torch.float64


def test_autocast_takes_float32_input():
    layers, inputs = make("LSTM", 3, 5), torch.ones(2, 1, 3)
    with torch.autocast("cpu", torch.bfloat16):
        outputs, _ = layers(inputs)
    expected, _ = layers(inputs)
    assert not torch.equal(outputs.float(), expected)  # it ran in bfloat16, of 8 bits
    torch.testing.assert_close(outputs.float(), expected, atol=2e-2, rtol=2e-2)


def test_backend_choice_is_visible():
    layers = make("LSTM", 3, 5)
    assert layers.backend_choice.name == "compiled"
    assert "cpu" in layers.backend_choice.reason
    assert make("LSTM", 3, 5, backend="reference").backend_choice.name == "reference"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input": torch.ones(4)}, "1 axes.*expected 3, or 2"),
        ({"input": torch.ones(4, 2, 7)}, r"7 features per step.*expected input_size 3"),
        ({"input": torch.ones(4, 2, 3).double()}, r"float64.*Use input.to\(torch.float32\)"),
        ({"input": torch.ones(4, 3), "lengths": [4]}, "unbatched"),
        ({"lengths": [1, 2, 3]}, r"shape \(3,\).*expected \(2,\)"),
        ({"lengths": [4, 9]}, r"lengths\[1\] is 9 but inputs has 4 steps; expected 1..4"),
        ({"lengths": [0, 4]}, r"lengths\[0\] is 0"),
        ({"lengths": [1.0, 2.0]}, "expected integers"),
        ({"hx": (torch.zeros(1, 2, 5),)}, "hx has 1 state; expected 2: h_0, c_0"),
        ({"hx": (torch.zeros(1, 2, 5), torch.zeros(1, 3, 5))}, r"c_0 has shape \(1, 3, 5\)"),
        ({"hx": (torch.zeros(2, 2, 5), torch.zeros(1, 2, 5))}, r"h_0 .* expected \(1, 2, 5\)"),
    ],
)
def test_invalid_calls(arguments, message):
    with pytest.raises(ShapeError, match=message):
        make("LSTM", 3, 5)(**{"input": torch.ones(4, 2, 3), **arguments})


def test_unknown_backend_raises():
    with pytest.raises(
        BackendError, match=r"'fast' is unknown; expected one of auto, compiled, torch"
    ):
        make("LSTM", 3, 5, backend="fast")(torch.ones(1, 1, 3))
    with pytest.raises(BackendError, match="'compile' is unknown; did you mean 'compiled'"):
        make("LSTM", 3, 5, backend="compile")(torch.ones(1, 1, 3))


def test_unknown_nonlinearity_raises():
    with pytest.raises(ConfigError, match="nonlinearity 'sine' is unknown"):
        bothways.nn.RNN(3, 5, nonlinearity="sine")
