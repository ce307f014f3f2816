"""The whole engine for one cell as one compiled function: `run(job)`, called by every thread.

A job has phases; in each, threads take tasks one by one until none is left. Forward and backward,
a task is a part of the batch through all layers, so that threads meet only where a phase ends; of
very few rows, forward, it is to be a member of a team that meets after each step.
"""

from collections.abc import Callable

from bothways.kernels.cells import Cell
from bothways.kernels.compiled.codegen.access import job_at, part_of, strand_of, weights_of
from bothways.kernels.compiled.codegen.cooperative import make_team
from bothways.kernels.compiled.codegen.direction import make_strands
from bothways.kernels.compiled.codegen.memory import add_among_threads, zero_floats
from bothways.kernels.compiled.codegen.packing import (
    add_last,
    begin_layer,
    drop,
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
    FLOAT_BYTES,
    FORWARD,
    NEXT_TASK,
    NEXT_WORKER,
    PREPARE_BACKWARD,
    PREPARE_FORWARD,
    TEAM_FORWARD,
    Job,
)


def make_program(cell: Cell, instructions: InstructionSet) -> Callable[[int], None]:
    """Return the engine for `cell`: a Numba function of the address of a `JOB`."""
    products = make_products(instructions)
    strands = make_strands(cell, instructions, products)
    prepare = make_prepare(cell, instructions, products)
    team = make_team(cell, instructions, products, strands.step_forward)
    forward_part = _make_forward_part(strands.forward)
    backward_part = _make_backward_part(strands.backward)
    weight_gradient = make_weight_gradient(cell, instructions, products)

    @compiled
    def run_task(job: Job, task: int, worker: int) -> None:
        if job.phase in (PREPARE_FORWARD, PREPARE_BACKWARD):
            prepare(job, task)
        elif job.phase == FORWARD:
            forward_part(job, task)
        elif job.phase == TEAM_FORWARD:
            team(job, task)
        elif job.phase == BACKWARD:
            backward_part(job, task)
        else:
            weight_gradient(job, task, worker)

    @compiled
    def run(address: int) -> None:
        job = job_at(address, 0)
        worker = add_among_threads(address + NEXT_WORKER, 1)
        while True:
            task = add_among_threads(address + NEXT_TASK, 1)
            if task >= job.tasks:
                break
            run_task(job, task, worker)

    return run


def _make_forward_part(forward: Callable[..., None]) -> Callable[..., None]:
    @compiled
    def forward_part(job: Job, number: int) -> None:
        """Run all layers over one part."""
        for layer in range(job.num_layers):
            begin_layer(job, number, layer)
            for direction in range(job.num_directions):
                strand = strand_of(job, number, layer, direction)
                forward(job, strand, weights_of(job, layer, direction))
            finish_layer(job, number, layer)

    return forward_part


def _make_backward_part(backward: Callable[..., None]) -> Callable[..., None]:
    @compiled
    def backward_part(job: Job, number: int) -> None:
        """Run all layers back over one part: sums' gradients stay where the gates were."""
        part = part_of(job, number)
        top = job.num_layers - 1
        highest = strand_of(job, number, top, 0)
        if not job.last and not job.d_outputs:  # only final states have gradients
            zero_floats(highest.d_outputs, part.total * highest.d_outputs_width)
        elif not job.last:
            gather(
                part, job.d_outputs, job.d_outputs_time_step, job.d_outputs_row_step,
                highest.d_outputs, highest.d_outputs_width, job.num_directions * job.hidden_size,
            )  # fmt: skip
        for layer in range(top, -1, -1):
            for direction in range(job.num_directions):
                index = layer * job.num_directions + direction
                strand = strand_of(job, number, layer, direction)
                width = strand.state_width
                if layer == top and job.last:
                    place = job.d_outputs + FLOAT_BYTES * direction * job.hidden_size
                    load_rows(
                        part, place, job.d_outputs_row_step,
                        strand.d_hidden, width, job.hidden_size,
                    )  # fmt: skip
                else:
                    load_state(job, part, job.d_final_hidden, index, strand.d_hidden, width)
                load_state(job, part, job.d_final_cell, index, strand.d_cell, width)
                add = direction > 0 and not strand.one_step
                backward(job, strand, weights_of(job, layer, direction), add)
                save_state(job, part, strand.d_hidden, width, job.d_initial_hidden, index)
                save_state(job, part, strand.d_cell, width, job.d_initial_cell, index)
                if strand.one_step and strand.d_inputs:
                    all_steps = strand_of(job, number, layer, 0)
                    add_last(part, strand.d_inputs, strand.d_inputs_width, all_steps.d_inputs)
            lowest = strand_of(job, number, layer, 0)
            if layer > 0:
                if job.masks:
                    drop(job, part, layer - 1, lowest.d_inputs, lowest.d_inputs_width)
            elif job.d_inputs:
                scatter(
                    job, part, lowest.d_inputs, lowest.d_inputs_width, job.input_size,
                    job.d_inputs, job.d_inputs_time_step, job.d_inputs_row_step,
                )  # fmt: skip

    return backward_part
