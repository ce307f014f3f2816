"""Tensors whose memory does not hold their values are resolved, or run on torch."""

import subprocess
import sys
import textwrap

import pytest
import torch

import bothways.nn
from bothways.kernels.tensors import resolved, unreadable


class Tagged(torch.Tensor):
    """A subclass that changes nothing."""


def negated(shape):
    """Return a tensor that is negated lazily."""
    values = torch.fft.fft(torch.randn(shape).double()).to(torch.complex64).conj().imag
    assert values.is_neg()
    return values


READABLE = {
    "plain": torch.randn,
    "negated": negated,
    "zero": lambda shape: torch._efficientzerotensor(shape),
    "expanded": lambda shape: torch.randn(1, *shape[1:]).expand(shape),
    "strided": lambda shape: torch.randn(*shape, 3)[..., 1],
    "parameter": lambda shape: torch.nn.Parameter(torch.randn(shape)),
    "shared": lambda shape: torch.randn(shape).share_memory_(),
}
UNREADABLE = {
    "subclass": (lambda: torch.randn(2, 3).as_subclass(Tagged), "Tagged"),
    "sparse": (lambda: torch.randn(2, 3).to_sparse(), "sparse_coo"),
    "sparse_csr": (lambda: torch.eye(3).to_sparse_csr(), "sparse_csr"),
    "mkldnn": (lambda: torch.randn(2, 3).to_mkldnn(), "mkldnn"),
    "nested": (lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]), "nested"),
    "functional": (lambda: torch._to_functional_tensor(torch.randn(2, 3)), "wrapper"),
    "empty": (lambda: torch.randn(0, 3), "empty"),
}
ignore_prototypes = pytest.mark.filterwarnings(
    "ignore:.*(prototype|beta state|Sparse|invariant checks):UserWarning"
)


@pytest.mark.parametrize("kind", READABLE)
def test_a_resolved_tensor_has_its_values_in_memory(kind):
    tensor = READABLE[kind]((4, 3))
    assert unreadable(tensor) is None
    plain = resolved(tensor)
    assert not plain.is_neg()
    assert not plain._is_zerotensor()
    torch.testing.assert_close(plain.detach() + 0, tensor.detach() + 0, rtol=0, atol=0)


@ignore_prototypes
@pytest.mark.parametrize("kind", UNREADABLE)
def test_unreadable_tensors(kind):
    make, reason = UNREADABLE[kind]
    assert reason in unreadable(make())


@pytest.mark.parametrize("kind", READABLE)
@pytest.mark.parametrize("place", ["inputs", "state", "weight", "gradient"])
@pytest.mark.parametrize("cell", ["RNN", "GRU", "LSTM"])
def test_results_and_gradients_match_torch(cell, place, kind):
    """The values of lazily negated and zero tensors are used, not their memory."""
    torch.manual_seed(0)
    ours = getattr(bothways.nn, cell)(3, 4, backend="compiled")
    theirs = getattr(torch.nn, cell)(3, 4)
    theirs.load_state_dict(ours.state_dict())
    values = {
        "inputs": torch.randn(5, 2, 3),
        "state": torch.randn(1, 2, 4),
        "gradient": torch.randn(5, 2, 4),
    }
    swapped = {}
    if place == "weight":
        swapped = {"weight_hh_l0": READABLE[kind](tuple(ours.weight_hh_l0.shape))}
    else:
        values[place] = READABLE[kind](tuple(values[place].shape))
    found = []
    for layer in (ours, theirs):
        if layer is theirs:  # torch.nn.LSTM reads the memory of a zero tensor
            values = {name: value.clone() for name, value in values.items()}
            swapped = {name: value.detach().clone() for name, value in swapped.items()}
        state = (values["state"], values["state"]) if cell == "LSTM" else values["state"]
        outputs, final = torch.func.functional_call(layer, swapped, (values["inputs"], state))
        weights = [layer.weight_ih_l0, layer.bias_ih_l0]
        gradients = torch.autograd.grad(outputs, weights, values["gradient"])
        found.append([outputs, *(final if cell == "LSTM" else [final]), *gradients])
    for left, right in zip(*found, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-4, atol=1e-5)


def test_a_tensor_subclass_runs_on_torch():
    layer = bothways.nn.LSTM(3, 4)
    inputs = torch.randn(5, 2, 3)
    outputs, _ = layer(inputs.as_subclass(Tagged))
    torch.testing.assert_close(outputs.as_subclass(torch.Tensor), layer(inputs)[0])


NO_CRASH = """
import torch, bothways.nn
layer = bothways.nn.LSTM(3, 4)
layer(torch.randn(5, 2, 3))
state = torch.zeros(1, 2, 4)
makers = [
    lambda: torch._efficientzerotensor((5, 2, 3)),
    lambda: torch.randn(5, 2, 3).to_sparse(),
    lambda: torch.randn(5, 2, 3).to_mkldnn(),
    lambda: torch._to_functional_tensor(torch.randn(5, 2, 3)),
    lambda: torch.nested.nested_tensor([torch.randn(5, 3), torch.randn(4, 3)]),
    lambda: torch.empty(5, 2, 3, device="meta"),
    lambda: torch.quantize_per_tensor(torch.randn(5, 2, 3), 0.1, 0, torch.quint8),
    lambda: torch.randn(5, 2, 3).half(),
    lambda: torch.zeros(5, 2, 3).as_strided((5, 2, 3), (0, 0, 0)),
]
for make in makers:
    for use in (lambda t: layer(t), lambda t: layer(torch.randn(5, 2, 3), (t[:1], state))):
        try:
            use(make())
        except Exception as error:
            assert str(error)
print("alive")
"""


def test_no_tensor_crashes_the_process():
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(NO_CRASH)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.stdout == "alive\n", result.stderr
