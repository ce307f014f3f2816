import pytest
import torch

from bothways.kernels.compiled.prepared import PreparedLayers
from bothways.nn import GRU, LSTM, RNN

CASES = [(LSTM, 160, 2), (GRU, 70, 1), (RNN, 33, 2)]


def zeros(layers, batch_size):
    shape = (layers.num_layers, batch_size, layers.hidden_size)
    return tuple(torch.zeros(shape) for _ in layers.cell.states)


@pytest.mark.parametrize(("kind", "hidden_size", "num_layers"), CASES)
@pytest.mark.parametrize("threads", [1, 2])
def test_chunks_of_a_row_have_the_bits_of_the_whole_batch(
    kind, hidden_size, num_layers, threads, seed
):
    torch.manual_seed(seed)
    layers = kind(4, hidden_size, num_layers=num_layers)
    run = layers.prepared()
    assert isinstance(run, PreparedLayers)
    inputs, lengths = torch.randn(30, 19, 4), torch.randint(1, 31, (19,))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.inference_mode():
            outputs, finals = run(inputs, lengths, zeros(layers, 19))
            for row, length in enumerate(lengths.tolist()):
                states, start = zeros(layers, 1), 0
                while start < length:
                    end = min(length, start + int(torch.randint(1, 7, ())))
                    own, states = run(inputs[start:end, row, None], None, states)
                    assert torch.equal(own[:, 0], outputs[start:end, row])
                    start = end
                for state, final in zip(states, finals, strict=True):
                    assert torch.equal(state[:, 0], final[:, row])
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(("kind", "hidden_size", "num_layers"), CASES)
def test_results_are_those_of_an_ordinary_call(kind, hidden_size, num_layers):
    layers = kind(4, hidden_size, num_layers=num_layers, bias=False)
    inputs, lengths = torch.randn(9, 300, 4), torch.randint(1, 10, (300,))
    states = tuple(torch.randn_like(state) for state in zeros(layers, 300))
    with torch.inference_mode():
        outputs, finals = layers.prepared()(inputs, lengths, states)
        expected, expected_finals = layers.outputs(inputs, states, lengths=lengths)
    assert torch.equal(outputs, expected)
    for final, own in zip(finals, expected_finals, strict=True):
        assert torch.equal(final, own)


def test_later_changes_of_the_weights_have_no_effect():
    layers = LSTM(3, 5)
    run, inputs = layers.prepared(), torch.randn(4, 2, 3)
    with torch.inference_mode():
        before, _ = run(inputs, None, zeros(layers, 2))
        layers.weight_hh_l0.zero_()
        layers.bias_ih_l0.zero_()
        after, _ = run(inputs, None, zeros(layers, 2))
    assert torch.equal(before, after)


def test_other_backends_run_their_ordinary_calls():
    layers = GRU(3, 5, dropout=0.5, num_layers=2, backend="torch").train()
    inputs = torch.randn(4, 2, 3)
    with torch.inference_mode():
        outputs, _ = layers.prepared()(inputs, None, zeros(layers, 2))
        expected, _ = layers.eval().outputs(inputs)
    assert torch.equal(outputs, expected)  # without dropout
