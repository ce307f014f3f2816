"""Tensor files with checksums.

A tensor file is a safetensors file with one metadata entry, a JSON object of facts. One of them is
the SHA-256 of everything else: facts, names, types, shapes and bytes.
"""

import hashlib
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from bothways.errors import CheckpointError
from bothways.storage.atomic import write_atomically
from bothways.storage.reading import read_file

_ENTRY = "bothways"
_CHECKSUM = "sha256"


def save_tensors(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write `tensors` and `facts` to `path` atomically; equal content gives equal bytes.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    facts = {**facts, _CHECKSUM: checksum(on_cpu, facts)}
    metadata = {_ENTRY: json.dumps(facts, sort_keys=True)}
    write_atomically(path, safetensors.torch.save(on_cpu, metadata))


def load_tensors(
    path: Path, limit_bytes: int = 1 << 40
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors and the facts in `path`.

    Parameters
    ----------
    path : Path
    limit_bytes : int
        A larger file raises an error.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, or not from bothways.
    """
    content = read_file(path, limit_bytes)
    try:
        tensors = safetensors.torch.load(content)
        (header_size,) = struct.unpack_from("<Q", content)
        metadata = json.loads(content[8 : 8 + header_size]).get("__metadata__", {})
    except (SafetensorError, ValueError, KeyError, RecursionError, struct.error) as error:
        raise CheckpointError(
            f"{path} is truncated or damaged ({error}). Restore it from a copy."
        ) from None
    if _ENTRY not in metadata:
        raise CheckpointError(
            f"{path} is a safetensors file of another program; expected the model.safetensors of "
            "a bothways model. Check the path."
        )
    try:
        facts = json.loads(metadata[_ENTRY])
        expected = facts.pop(_CHECKSUM)
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        expected, facts = None, {}
    if set(metadata) != {_ENTRY} or expected != checksum(tensors, facts):
        raise CheckpointError(
            f"{path} is damaged: its content differs from the SHA-256 in its header. "
            "Restore it from a copy."
        )
    return tensors, facts


def checksum(tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> str:
    """Return the SHA-256 of tensors on the CPU: names, types, shapes and bytes; and of facts."""
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
