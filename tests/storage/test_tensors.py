import os

import pytest
import safetensors.torch
import torch

from bothways.errors import CheckpointError
from bothways.storage.tensors import load_tensors, save_tensors

TENSORS = {
    "weight": torch.tensor([[1.5, -2.0], [0.0, 3.25]]),
    "step": torch.tensor(7, dtype=torch.int64),
    "random": torch.arange(5, dtype=torch.uint8),
}
FACTS = {"epoch": 2, "best": None, "name": "größer"}


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "state.safetensors"
    save_tensors(path, TENSORS, FACTS)
    return path


def flip(path, bit):
    with path.open("r+b") as file:
        file.seek(bit // 8)
        (byte,) = file.read(1)
        file.seek(bit // 8)
        file.write(bytes([byte ^ 1 << bit % 8]))


def is_same(tensors, facts):
    return (
        facts == FACTS
        and tensors.keys() == TENSORS.keys()
        and all(
            tensors[name].dtype == tensor.dtype and torch.equal(tensors[name], tensor)
            for name, tensor in TENSORS.items()
        )
    )


def is_misread(path):
    """Return whether `path` loads as something other than what was saved."""
    try:
        return not is_same(*load_tensors(path))
    except CheckpointError:
        return False


@pytest.mark.parametrize(
    "tensor",
    [
        torch.tensor(3.5),
        torch.empty(0, 4),
        torch.tensor([True, False]),
        torch.arange(6, dtype=torch.uint8).view(2, 3),
        torch.arange(6, dtype=torch.int64),
        torch.tensor([1 / 3], dtype=torch.float64),
        torch.tensor([1 / 3], dtype=torch.bfloat16),
        torch.tensor([float("nan"), float("inf"), -0.0]),
        torch.arange(6.0).view(2, 3).T,
        torch.ones(2, requires_grad=True),
    ],
    ids=[
        "0-dim",
        "empty",
        "bool",
        "uint8",
        "int64",
        "float64",
        "bfloat16",
        "special",
        "strided",
        "grad",
    ],
)
def test_a_saved_tensor_is_loaded_unchanged(tmp_path, tensor):
    save_tensors(tmp_path / "one", {"tensor": tensor}, {})
    loaded = load_tensors(tmp_path / "one")[0]["tensor"]
    assert loaded.dtype == tensor.dtype
    torch.testing.assert_close(loaded, tensor.detach(), rtol=0, atol=0, equal_nan=True)


def test_saved_facts_are_loaded_unchanged(saved):
    assert load_tensors(saved)[1] == FACTS


def test_the_same_content_gives_the_same_bytes_in_any_order(tmp_path, saved):
    again = tmp_path / "again"
    save_tensors(again, dict(reversed(TENSORS.items())), dict(reversed(FACTS.items())))
    assert again.read_bytes() == saved.read_bytes()


def test_no_flipped_bit_is_misread(saved):
    misread = []
    for bit in range(8 * saved.stat().st_size):
        flip(saved, bit)
        if is_misread(saved):
            misread.append(bit)
        flip(saved, bit)
    assert not misread


def test_every_flipped_bit_of_the_data_is_noticed(saved):
    size = saved.stat().st_size
    data_size = sum(tensor.nbytes for tensor in TENSORS.values())
    for bit in range(8 * (size - data_size), 8 * size):
        flip(saved, bit)
        with pytest.raises(CheckpointError, match="differs from the SHA-256 in its header"):
            load_tensors(saved)
        flip(saved, bit)


def test_every_truncation_is_noticed(saved):
    for size in reversed(range(saved.stat().st_size)):
        os.truncate(saved, size)
        with pytest.raises(CheckpointError, match="truncated or damaged"):
            load_tensors(saved)


def test_bytes_after_the_end_are_noticed(saved):
    saved.write_bytes(saved.read_bytes() + b"\0")
    with pytest.raises(CheckpointError, match="truncated or damaged"):
        load_tensors(saved)


def test_a_foreign_safetensors_file_is_refused(tmp_path):
    safetensors.torch.save_file(TENSORS, tmp_path / "foreign", {"format": "pt"})
    with pytest.raises(CheckpointError, match="foreign is a safetensors file of another program"):
        load_tensors(tmp_path / "foreign")


def test_a_safetensors_file_without_metadata_is_refused(tmp_path):
    safetensors.torch.save_file(TENSORS, tmp_path / "foreign")
    with pytest.raises(CheckpointError, match="of another program"):
        load_tensors(tmp_path / "foreign")


@pytest.mark.parametrize("entry", ["", "no json", "{}", "[]", "null", "1", '{"sha256": null}'])
def test_invalid_metadata_are_refused(tmp_path, entry):
    safetensors.torch.save_file(TENSORS, tmp_path / "odd", {"bothways": entry})
    with pytest.raises(CheckpointError, match="odd is damaged"):
        load_tensors(tmp_path / "odd")


def test_added_metadata_are_refused(saved):
    with safetensors.safe_open(saved, "pt") as file:
        metadata = file.metadata()
    safetensors.torch.save_file(TENSORS, saved, {**metadata, "note": "mine"})
    with pytest.raises(CheckpointError, match="is damaged"):
        load_tensors(saved)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"none cannot be read: No such file or directory;"):
        load_tensors(tmp_path / "none")


def test_a_text_file_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("These are the notes of a long afternoon.")
    with pytest.raises(CheckpointError, match=r"notes\.txt is truncated or damaged"):
        load_tensors(tmp_path / "notes.txt")
