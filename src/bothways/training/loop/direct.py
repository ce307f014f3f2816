"""Gradients of plain networks without autograd's graph.

Autograd and the checks of `bothways.nn` take as long as the arithmetic of a small network. Here,
the passes of the layers are prepared once, and the gradients of the linear layer and of the loss
are closed forms. Only readouts that are more than a copy use autograd.
"""

from collections.abc import Callable
from operator import is_
from typing import cast

import torch
from torch import Tensor, nn

from bothways.data.batching import LabeledBatch
from bothways.kernels.backends import Passes
from bothways.kernels.dropout import dropout
from bothways.kernels.lengths import Lengths
from bothways.kernels.torch_internals import has_hooks, is_transformed
from bothways.nn.classifier import SequenceClassifier
from bothways.nn.pooling import POOLINGS, Combined, Final, Flatten, Last
from bothways.nn.preprocessing import FeatureEncoder
from bothways.training.loop.loss import Loss

ReadoutBackward = Callable[[Tensor], tuple[Tensor | None, Tensor | None]]
"""From gradients of the features to those of the outputs and of the top layer's final h."""


def own_weights(network: SequenceClassifier) -> list[Tensor | None]:
    """Return the weights of the layers and of the linear layer; parametrized ones are missing."""
    return [*network.layers._parameters.values(), *network.linear._parameters.values()]


def is_only_trained(weight: Tensor) -> bool:
    """Return whether a weight is trained and has no hooks."""
    hooks = weight._backward_hooks or weight._post_accumulate_grad_hooks
    return weight.requires_grad and not hooks


def is_plain(network: SequenceClassifier) -> bool:
    """Return whether `DirectGradients` can compute the gradients of a network.

    It must consist of exactly the parts of this package, because others may compute something else.
    Each weight must be a parameter of its own, without hooks, that is trained.
    """
    config, linear = network.config, network.linear
    weights = own_weights(network)
    return (
        type(network) is SequenceClassifier
        and type(linear) is nn.Linear
        and type(network.readout) in (*POOLINGS.values(), Combined)
        and type(network.encoder) in (FeatureEncoder, type(None))
        and network.stem is None
        and config.initial_state == "zeros"
        and config.layer_lookahead is None
        and not any(map(has_hooks, network.modules()))
        and len({id(weight) for weight in weights}) == network.layers.num_weights + 2
        and all(type(w) is nn.Parameter and w.dtype == torch.float32 for w in weights)
        and all(map(is_only_trained, network.parameters()))
        and not (network.encoder and list(network.encoder.parameters()))
        and network.layers.backend_choice.name == "compiled"
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
        self._modules, self._weights = list(network.modules()), own_weights(network)
        self._gradients: dict[Tensor, Tensor] = {
            weight: cast(Tensor, weight.grad) for weight in network.parameters()
        }

    @property
    def is_possible(self) -> bool:
        """Whether the network, which was plain, is trained now, and has the same weights."""
        network = self._network
        return (
            all(map(is_, own_weights(network), self._weights))
            and all(map(is_only_trained, self._gradients))
            and all(module.training for module in self._modules)
            and not any(map(has_hooks, self._modules))
            and not torch.is_autocast_enabled("cpu")
            and not is_transformed()
        )

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
        network.layers.check_steps(inputs, network.linear.weight, lengths)
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
