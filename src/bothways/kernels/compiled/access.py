"""The records of a job as compiled code reads them, and where each lies."""

from typing import Any

from bothways.kernels.compiled.jit import compiled
from bothways.kernels.compiled.memory import make_record_at
from bothways.kernels.compiled.records import JOB, PART, STRAND, WEIGHTS

job_at, _part_at, _weights_at, _strand_at = map(make_record_at, (JOB, PART, WEIGHTS, STRAND))


@compiled
def part_of(job: Any, number: Any) -> Any:
    """Return one part of the batch."""
    return _part_at(job.parts, number)


@compiled
def weights_of(job: Any, layer: Any, direction: Any) -> Any:
    """Return the weights of one direction of one layer."""
    return _weights_at(job.weights, layer * job.num_directions + direction)


@compiled
def strand_of(job: Any, part: Any, layer: Any, direction: Any) -> Any:
    """Return one direction of one layer over one part."""
    index = (part * job.num_layers + layer) * job.num_directions + direction
    return _strand_at(job.strands, index)
