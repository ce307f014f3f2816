"""Gradients of a network without autograd's graph, for networks that are plain enough.

Autograd and the checks of `bothways.nn` take as long as the arithmetic of a small network. Here,
the passes of the layers are prepared once, and the gradients of the linear layer and of the loss
are closed forms. Only readouts that are more than a copy use autograd.
"""

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor

from bothways.data.batching import LabeledBatch
from bothways.kernels.backends import Passes
from bothways.kernels.dropout import dropout
from bothways.kernels.lengths import Lengths
from bothways.kernels.torch_internals import has_hooks
from bothways.nn.classifier import SequenceClassifier
from bothways.nn.pooling import Final, Flatten, Last
from bothways.training.loop.loss import Loss

ReadoutBackward = Callable[[Tensor], tuple[Tensor | None, Tensor | None]]
"""From gradients of the features to those of the outputs and of the top layer's final h."""


def is_plain(network: SequenceClassifier) -> bool:
    """Return whether `DirectGradients` can compute the gradients of a network."""
    config, layers = network.config, network.layers
    parameters = list(network.parameters())
    return (
        type(network) is SequenceClassifier
        and network.stem is None
        and (network.encoder is None or not list(network.encoder.parameters()))
        and config.initial_state == "zeros"
        and config.layer_lookahead is None
        and not any(map(has_hooks, network.modules()))
        and all(p.requires_grad and p.dtype == torch.float32 for p in parameters)
        and {id(p) for p in layers.parameters()} == {id(p) for p in layers._parameters.values()}
        and layers.backend_choice.name == "compiled"
    )


class DirectGradients:
    """Computes the gradients of a plain network for one batch after the other.

    Parameters
    ----------
    network : SequenceClassifier
        See `is_plain`. Its gradients are written into the tensors that are the `grad` of its
        parameters now.
    loss : Loss
    precision : float32 or bfloat16
        Of the layers.
    """

    def __init__(self, network: SequenceClassifier, loss: Loss, precision: str) -> None:
        self._network, self._loss, self._precision = network, loss, precision
        self._layers: Passes | None = None
        self._gradients: dict[Tensor, Tensor] = {
            weight: cast(Tensor, weight.grad) for weight in network.parameters()
        }

    @torch.no_grad()
    def __call__(self, batch: LabeledBatch, labeled: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the gradients; return the logits and the loss.

        Parameters
        ----------
        batch : LabeledBatch
        labeled : int64 Tensor ()
            Labels of the whole batch.
        """
        network = self._network
        inputs, lengths = batch.inputs, Lengths.of(batch.lengths, *batch.inputs.shape[:2])
        if network.encoder is not None:
            inputs = network.encoder(inputs, lengths)
        if self._layers is None:  # not before: dropout depends on the mode, and on `draw_from`
            with network.layers.with_precision(self._precision):
                self._layers = network.layers.passes(last=network.readout.reads_last_step_only)
        results = self._layers.forward(inputs.transpose(0, 1), lengths.values_if_ragged)
        features, readout_backward = self._read(results, lengths)
        mask = None
        if network.config.dropout:
            mask = dropout(torch.ones_like(features), network.config.dropout, network.layers.draws)
            features = features * mask
        logits = network.calibrated(network.linear(features))
        loss, d_logits = self._loss.with_gradient(logits, batch, labeled)
        d_features = self._linear_backward(features, network.calibrated(d_logits))
        if mask is not None:
            d_features *= mask
        self._layers.backward(*readout_backward(d_features))
        return logits, loss

    def _read(
        self, results: tuple[Tensor, ...], lengths: Lengths
    ) -> tuple[Tensor, ReadoutBackward]:
        """Return the features, and how to compute the gradients of what they are read from."""
        readout = self._network.readout
        if isinstance(readout, Last):
            return results[0], lambda d_features: (d_features, None)
        outputs, h_n = results[0].transpose(0, 1), results[1]
        top = h_n[-self._network.layers.num_directions :]
        if isinstance(readout, Flatten):
            time = outputs.shape[1]
            return readout(outputs, top, lengths), lambda d_features: (
                d_features.unflatten(1, (readout.sequence_length, -1))[:, :time].transpose(0, 1),
                None,
            )
        if isinstance(readout, Final):
            return readout(outputs, top, lengths), lambda d_features: (
                None,
                _of_all_layers(d_features.unflatten(1, (len(top), -1)).transpose(0, 1), h_n),
            )
        leaves = [outputs.detach().requires_grad_(), top.detach().requires_grad_()]
        weights = list(readout.parameters())
        with torch.enable_grad():
            features = readout(*leaves, lengths)

        def backward(d_features: Tensor) -> tuple[Tensor | None, Tensor | None]:
            d_outputs, d_top, *d_weights = torch.autograd.grad(
                features, [*leaves, *weights], d_features, allow_unused=True
            )
            for weight, gradient in zip(weights, d_weights, strict=True):
                self._gradients[weight].copy_(gradient)
            d_hidden = None if d_top is None else _of_all_layers(d_top, h_n)
            return None if d_outputs is None else d_outputs.transpose(0, 1), d_hidden

        return features.detach(), backward

    def _linear_backward(self, features: Tensor, d_logits: Tensor) -> Tensor:
        """Compute the gradients of the linear layer; return that of its input."""
        linear = self._network.linear
        flat = d_logits.flatten(0, -2)
        torch.mm(flat.t(), features.flatten(0, -2), out=self._gradients[linear.weight])
        torch.sum(flat, 0, out=self._gradients[linear.bias])
        return (flat @ linear.weight).view_as(features)


def _of_all_layers(d_top: Tensor, h_n: Tensor) -> Tensor:
    """Return gradients of the final states of all layers, which are 0 below the top layer."""
    gradients = torch.zeros_like(h_n)
    gradients[-len(d_top) :] = d_top
    return gradients
