"""The program for one cell: one compiled function `run(job)`, which every thread calls.

A job runs in phases. In each phase, the threads take tasks from a counter until none is left. A
forward or backward task runs all layers over one part of the batch, so that threads synchronize
only between phases. For very few rows, the forward pass is cooperative: each task is one thread of
it, and the threads synchronize after each time step, or after each layer if they run one direction
each. For one row, the backward pass may be divided into phases of one layer, whose tasks are its
directions.
"""

from collections.abc import Callable
from typing import NamedTuple

from bothways.kernels.cells import Cell
from bothways.kernels.compiled.codegen.access import job_at, part_of, scan_of, weights_of
from bothways.kernels.compiled.codegen.converted import make_converted_products
from bothways.kernels.compiled.codegen.cooperative import make_cooperative_forward
from bothways.kernels.compiled.codegen.denormals import make_flush_denormals
from bothways.kernels.compiled.codegen.direction import Scans, make_scans
from bothways.kernels.compiled.codegen.memory import atomic_add, zero_floats
from bothways.kernels.compiled.codegen.packing import (
    add_last,
    apply_dropout,
    begin_layer,
    finish_layer,
    gather,
    load_rows,
    load_state,
    save_state,
    scatter,
)
from bothways.kernels.compiled.codegen.products import make_products
from bothways.kernels.compiled.codegen.weights import make_prepare, make_weight_gradient
from bothways.kernels.compiled.instruction_sets import InstructionSet
from bothways.kernels.compiled.jit import compiled
from bothways.kernels.compiled.structs import (
    BACKWARD,
    BACKWARD_BEGIN,
    BACKWARD_END,
    BACKWARD_INPUTS,
    BACKWARD_SCANS,
    COOPERATIVE_FORWARD,
    FLOAT_BYTES,
    FORWARD,
    NEXT_TASK,
    NEXT_WORKER,
    PREPARE_BACKWARD,
    PREPARE_FORWARD,
    Job,
)


def make_program(cell: Cell, instructions: InstructionSet) -> Callable[[int], None]:
    """Return the program for `cell`: a Numba function of the address of a `Job`."""
    is_float32 = instructions.precision == "float32"
    products = make_products(instructions) if is_float32 else make_converted_products(instructions)
    scans = make_scans(cell, instructions, products)
    prepare = make_prepare(cell, instructions, products)
    cooperative_forward = make_cooperative_forward(cell, instructions, products, scans.step_forward)
    forward_part = _make_forward_part(scans.forward)
    backward_begin, backward_scan, backward_inputs, backward_end, backward_part = _make_backward(
        scans
    )
    weight_gradient = make_weight_gradient(cell, instructions, products)
    flush_denormals, restore_control = make_flush_denormals(instructions)

    @compiled
    def run_task(job: Job, task: int, worker: int) -> None:
        if job.phase in (PREPARE_FORWARD, PREPARE_BACKWARD):
            prepare(job, task)
        elif job.phase == FORWARD:
            forward_part(job, task)
        elif job.phase == COOPERATIVE_FORWARD:
            cooperative_forward(job, task)
        elif job.phase == BACKWARD:
            backward_part(job, task)
        elif job.phase == BACKWARD_BEGIN:
            backward_begin(job, 0)
        elif job.phase == BACKWARD_SCANS:
            backward_scan(job, 0, job.layer, task)
        elif job.phase == BACKWARD_INPUTS:
            backward_inputs(job, 0, job.layer, task, job.tasks)
        elif job.phase == BACKWARD_END:
            backward_end(job, 0, job.layer)
        else:
            weight_gradient(job, task, worker)

    @compiled
    def run(address: int) -> None:
        job = job_at(address, 0)
        control = flush_denormals()
        worker = atomic_add(address + NEXT_WORKER, 1)
        while True:
            task = atomic_add(address + NEXT_TASK, 1)
            if task >= job.tasks:
                break
            run_task(job, task, worker)
        restore_control(control)

    return run


def _make_forward_part(forward: Callable[..., None]) -> Callable[..., None]:
    @compiled
    def forward_part(job: Job, number: int) -> None:
        """Run all layers over one part."""
        for layer in range(job.num_layers):
            begin_layer(job, number, layer)
            for direction in range(job.num_directions):
                scan = scan_of(job, number, layer, direction)
                forward(job, scan, weights_of(job, layer, direction))
            finish_layer(job, number, layer)

    return forward_part


class _Backward(NamedTuple):
    """The backward pass of one part: `part` calls the others for all layers and directions."""

    begin: Callable[..., None]
    scan: Callable[..., None]
    inputs: Callable[..., None]
    end: Callable[..., None]
    part: Callable[..., None]


def _make_backward(scans: Scans) -> _Backward:
    backward, input_gradient = scans.backward, scans.input_gradient

    @compiled
    def begin(job: Job, number: int) -> None:
        """Load the gradients of the outputs."""
        part = part_of(job, number)
        highest = scan_of(job, number, job.num_layers - 1, 0)
        if not job.last and not job.d_outputs:  # only final states have gradients
            zero_floats(highest.d_outputs, part.total * highest.d_outputs_width)
        elif not job.last:
            gather(
                part, job.d_outputs, job.d_outputs_time_step, job.d_outputs_row_step,
                highest.d_outputs, highest.d_outputs_width, job.num_directions * job.hidden_size,
            )  # fmt: skip

    @compiled
    def scan_backward(job: Job, number: int, layer: int, direction: int) -> None:
        """Run one direction backward; gradients replace the gates in memory."""
        part = part_of(job, number)
        index = layer * job.num_directions + direction
        scan = scan_of(job, number, layer, direction)
        width = scan.state_width
        if layer == job.num_layers - 1 and job.last:
            place = job.d_outputs + FLOAT_BYTES * direction * job.hidden_size
            load_rows(part, place, job.d_outputs_row_step, scan.d_hidden, width, job.hidden_size)
        else:
            load_state(job, part, job.d_final_hidden, index, scan.d_hidden, width)
        load_state(job, part, job.d_final_cell, index, scan.d_cell, width)
        backward(job, scan, weights_of(job, layer, direction))
        save_state(job, part, scan.d_hidden, width, job.d_initial_hidden, index)
        save_state(job, part, scan.d_cell, width, job.d_initial_cell, index)

    @compiled
    def inputs(job: Job, number: int, layer: int, share: int, shares: int) -> None:
        """Compute a share of the rows of the gradients of a layer's inputs."""
        for direction in range(job.num_directions):
            scan = scan_of(job, number, layer, direction)
            input_gradient(
                job, scan, weights_of(job, layer, direction), direction > 0 and not scan.one_step,
                scan.total * share // shares, scan.total * (share + 1) // shares,
            )  # fmt: skip

    @compiled
    def end(job: Job, number: int, layer: int) -> None:
        """Complete the gradients of a layer's inputs, and save those of the lowest layer."""
        part = part_of(job, number)
        lowest = scan_of(job, number, layer, 0)
        highest = scan_of(job, number, layer, job.num_directions - 1)
        if highest.one_step and highest.d_inputs:
            add_last(part, highest.d_inputs, highest.d_inputs_width, lowest.d_inputs)
        if layer > 0:
            if job.masks:
                apply_dropout(job, part, layer - 1, lowest.d_inputs, lowest.d_inputs_width)
        elif job.d_inputs:
            scatter(
                job, part, lowest.d_inputs, lowest.d_inputs_width, job.input_size,
                job.d_inputs, job.d_inputs_time_step, job.d_inputs_row_step,
            )  # fmt: skip

    @compiled
    def backward_part(job: Job, number: int) -> None:
        """Run all layers backward over one part."""
        begin(job, number)
        for layer in range(job.num_layers - 1, -1, -1):
            for direction in range(job.num_directions):
                scan_backward(job, number, layer, direction)
            inputs(job, number, layer, 0, 1)
            end(job, number, layer)

    return _Backward(begin, scan_backward, inputs, end, backward_part)
