"""Each private function of torch behaves as documented in `torch_internals`."""

import pytest
import torch

from bothways.kernels import torch_internals


@pytest.mark.filterwarnings("ignore:`torch.jit.trace:DeprecationWarning")
def test_is_traced():
    seen = []

    def function(x):
        seen.append(torch_internals.is_traced())
        return x + 1

    torch.jit.trace(function, torch.ones(2), check_trace=False)

    class Look(torch.nn.Module):
        def forward(self, x):
            return function(x)

    torch.export.export(Look(), (torch.ones(2),), strict=False)
    assert seen == [True, True]
    assert not torch_internals.is_traced()


def test_is_transformed():
    seen = []

    def function(x):
        seen.append(torch_internals.is_transformed())
        return x.sum()

    torch.func.grad(function)(torch.ones(2))
    torch.func.vmap(function)(torch.ones(2, 2))
    with torch.utils._python_dispatch.TorchDispatchMode():
        seen.append(torch_internals.is_transformed())
    assert seen == [True] * 3
    assert not torch_internals.is_transformed()


def test_is_forward_mode():
    assert not torch_internals.is_forward_mode()
    with torch.autograd.forward_ad.dual_level():
        assert torch_internals.is_forward_mode()


def test_is_graph_kept():
    seen = []

    class Look(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            seen.append(torch_internals.is_graph_kept())
            return gradient

    result = Look.apply(torch.ones(1, requires_grad=True))
    result.backward(retain_graph=True)
    result.backward()
    assert seen == [True, False]


def test_memory_of_tensors():
    plain = torch.ones(2)
    assert torch_internals.has_storage(plain)
    assert not torch_internals.has_storage(plain.to_sparse())
    assert not torch_internals.is_zero_tensor(plain)
    assert torch_internals.is_zero_tensor(torch._efficientzerotensor((2,)))
    assert not torch_internals.is_functional(plain)
    assert torch_internals.is_functional(torch._to_functional_tensor(plain))


@pytest.mark.parametrize("cell", ["rnn_tanh", "rnn_relu", "gru", "lstm"])
def test_operators(cell):
    kind, _, nonlinearity = cell.partition("_")
    options = {"nonlinearity": nonlinearity} if nonlinearity else {}
    layer = getattr(torch.nn, kind.upper())(3, 4, **options)
    inputs, zeros = torch.randn(5, 2, 3), torch.zeros(1, 2, 4)
    states = (zeros, zeros) if cell == "lstm" else zeros
    operator = getattr(torch_internals, cell)
    weights = list(layer.parameters())
    outputs, *_ = operator(inputs, states, weights, True, 1, 0.0, False, False, False)
    torch.testing.assert_close(outputs, layer(inputs)[0])


def test_has_hooks():
    module = torch.nn.Linear(2, 2)
    for register in (
        module.register_forward_hook,
        module.register_forward_pre_hook,
        module.register_full_backward_hook,
        module.register_full_backward_pre_hook,
        torch.nn.modules.module.register_module_forward_hook,
    ):
        assert not torch_internals.has_hooks(module)
        handle = register(lambda *_: None)
        assert torch_internals.has_hooks(module)
        handle.remove()
