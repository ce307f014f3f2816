"""Results and gradients of recurrent layers, for comparisons with others."""

import torch


def run(layers, inputs, states, lengths, last):
    """Return all results of a call."""
    if last:
        return [layers.last_outputs(inputs, states, lengths=lengths)]
    outputs, final = layers.outputs(inputs, states, lengths=lengths)
    return [outputs, *final]


def results_and_gradients(layers, inputs, states, lengths, last):
    """Return results, and gradients of a fixed random sum of them."""
    dtype = layers.weight_ih_l0.dtype
    inputs = inputs.to(dtype).requires_grad_()
    states = None if states is None else tuple(s.to(dtype).requires_grad_() for s in states)
    results = run(layers, inputs, states, lengths, last)
    generator = torch.Generator().manual_seed(1)
    total = sum((r * torch.randn(r.shape, generator=generator).to(dtype)).sum() for r in results)
    sources = [inputs, *(states or ()), *layers.parameters()]
    return [*results, *torch.autograd.grad(total, sources)]


def make_states(layers, batch_size):
    """Return random initial states."""
    count = layers.num_layers * layers.num_directions
    names = layers.cell.states
    return tuple(torch.randn(count, batch_size, layers.hidden_size) for _ in names)
