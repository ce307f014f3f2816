"""Training steps of layers whose weights stay in place, without a graph.

A call of `bothways.nn` checks its tensors, computes its layout and adds a node to autograd's graph.
For small networks, that takes as long as the arithmetic. A training repeats the same call, so that
all this can be done once.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from bothways.kernels.checks import check_floats, check_weights
from bothways.kernels.compiled.call import Call, Operands, dropout_masks
from bothways.kernels.compiled.passes import backward, empty_results, fill_weights, forward
from bothways.kernels.compiled.structs import Job
from bothways.kernels.compiled.workspace import Workspace
from bothways.kernels.interface import Stack


class RepeatedPasses:
    """Forward and backward passes of the same layers, one after the other.

    Parameters
    ----------
    stack : Stack
        Without initial states. Its weights are contiguous, and are read at each pass, where they
        are now: an optimizer may change them in place, and other contiguous memory may be assigned
        to `data`.
    gradients : list of Tensor
        Receive the gradients of `stack.tensors`; contiguous, of the same shapes.
    last : bool
        Whether only the outputs at the last step of each row are needed.
    """

    def __init__(self, stack: Stack, gradients: list[Tensor], *, last: bool) -> None:
        self._stack, self._gradients, self._last = stack, gradients, last
        self._weights = stack.tensors
        for tensors in (self._weights, gradients):
            check_weights(stack, tensors, stack.layers[0][0].weight_ih.shape[1])
        self._call = Call.of(stack, lengths=None, last=last, has_initial=False)
        self._records: _Records | None = None
        self._masks: Tensor | None = None

    def __reduce__(self) -> Any:
        """Return how to make a copy, which has memory of its own."""
        return partial(RepeatedPasses, last=self._last), (self._stack, self._gradients)

    def forward(self, inputs: Tensor, lengths: Tensor | None) -> tuple[Tensor, ...]:
        """See `Passes.forward`."""
        records = self._records_for(inputs, lengths)
        self._masks = dropout_masks(self._stack, inputs)
        operands = Operands(inputs, (), self._weights)
        job = Job.from_buffer_copy(records.forward_job)
        forward(job, records.call, records.plan, self._masks, operands, records.results)
        return records.results

    def backward(self, d_outputs: Tensor | None, d_hidden: Tensor | None) -> None:
        """See `Passes.backward`."""
        records = self._records
        assert records is not None, "a forward pass comes first"
        job = Job.from_buffer_copy(records.backward_job)
        gradients = [d_outputs, d_hidden]
        backward(job, records.call, records.plan, self._masks, gradients, d_weights=True)

    def _records_for(self, inputs: Tensor, lengths: Tensor | None) -> "_Records":
        kind = (
            inputs.shape,
            inputs.stride(),
            inputs.dtype,
            torch.get_num_threads(),
            lengths is None,
            # Sharing a model with another process moves them.
            [tensor.data_ptr() for tensor in (*self._weights, *self._gradients)],
        )
        if self._records is None or lengths is not None or self._records.kind != kind:
            check_floats([inputs])
            check_weights(self._stack, self._weights, inputs.shape[2])
            self._records = None  # returns its memory to the cache
            call = self._call.with_lengths(lengths)
            self._records = _Records(call, inputs, self._weights, self._gradients, kind)
        return self._records


class _Records:
    """Memory, results and jobs for batches of one shape, or for one ragged batch."""

    def __init__(
        self,
        call: Call,
        inputs: Tensor,
        weights: list[Tensor],
        gradients: list[Tensor],
        kind: tuple[object, ...],
    ) -> None:
        self.call, self.kind = call, kind
        self.plan = plan = call.plan(inputs, weights, keep=True, d_inputs=False)
        self.results = empty_results(call, plan.shape, inputs)
        sizes = plan.kept_bytes, max(plan.forward_bytes, plan.backward_bytes)
        self._memory = [Workspace(size) for size in sizes]
        kept, scratch = (memory.address for memory in self._memory)
        forward_records = plan.records(kept, scratch, backward=False)
        backward_records = plan.records(kept, scratch, backward=True)
        self.forward_job, forward_weights, _ = forward_records
        self.backward_job, backward_weights, _ = backward_records
        fill_weights(forward_weights, weights, first="weight_ih")
        fill_weights(backward_weights, weights, first="weight_ih")
        fill_weights(backward_weights, gradients, first="d_weight_ih")
        self._alive = forward_records, backward_records  # the jobs point to them
