"""Access to the records of a job from compiled code."""

from bothways.kernels.compiled.codegen.memory import make_record_at
from bothways.kernels.compiled.jit import compiled
from bothways.kernels.compiled.structs import Job, Part, Scan, Weights

job_at, _part_at, _weights_at, _scan_at = map(make_record_at, (Job, Part, Weights, Scan))


@compiled
def part_of(job: Job, number: int) -> Part:
    """Return one part of the batch."""
    return _part_at(job.parts, number)


@compiled
def weights_of(job: Job, layer: int, direction: int) -> Weights:
    """Return the weights of one direction of one layer."""
    return _weights_at(job.weights, layer * job.num_directions + direction)


@compiled
def scan_of(job: Job, part: int, layer: int, direction: int) -> Scan:
    """Return the scan of one direction of one layer over one part."""
    index = (part * job.num_layers + layer) * job.num_directions + direction
    return _scan_at(job.scans, index)
