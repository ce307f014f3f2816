"""The other side of benchmarks/scale.py: pandas and torch.nn, one Parquet file after the other.

python benchmarks/scale_plain.py RUN INPUTS OUT THREADS
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence

BATCH_SIZE = 256


class PlainModel(nn.Module):
    """A bidirectional LSTM with a linear layer on the last state of each direction."""

    def __init__(self, input_size: int, hidden_size: int, num_layers: int, classes: int) -> None:
        super().__init__()
        self.layers = nn.LSTM(
            input_size, hidden_size, num_layers, batch_first=True, bidirectional=True
        )
        self.linear = nn.Linear(2 * hidden_size, classes)

    def forward(self, sequences: list[Tensor]) -> Tensor:
        lengths = torch.tensor([len(sequence) for sequence in sequences])
        padded = pad_sequence(sequences, batch_first=True)
        packed = pack_padded_sequence(padded, lengths, batch_first=True, enforce_sorted=False)
        _, (h_n, _) = self.layers(packed)
        logits: Tensor = self.linear(torch.cat([h_n[-2], h_n[-1]], dim=1))
        return logits


def load_model(run: Path) -> tuple[PlainModel, list[str]]:
    """Return the model of a run, and the names of its classes."""
    config = json.loads((run / "config.json").read_text())
    sizes = config["model"]
    classes = config["classes"]
    model = PlainModel(sizes["input_size"], sizes["hidden_size"], sizes["num_layers"], len(classes))
    weights = load_file(run / "model.safetensors")
    model.load_state_dict({name: weights[name] for name in model.state_dict()})
    return model.eval(), classes


def read_sequences(path: Path) -> dict[str, Tensor]:
    """Return the steps (time, features) of each sequence of a file, by its name."""
    table = pd.read_parquet(path).drop(columns="label")
    values = torch.from_numpy(table.drop(columns="sequence").to_numpy(np.float32, copy=True))
    rows = table.groupby("sequence", sort=False).indices
    return {str(name): values[numbers] for name, numbers in rows.items()}


@torch.inference_mode()
def score_file(model: PlainModel, classes: list[str], path: Path) -> pd.DataFrame:
    """Return the label and the probabilities of each sequence, in batches of similar lengths."""
    by_name = read_sequences(path)
    sequences = list(by_name.values())
    order = sorted(range(len(sequences)), key=lambda n: len(sequences[n]))
    found = np.empty((len(sequences), len(classes)), dtype=np.float32)
    for start in range(0, len(order), BATCH_SIZE):
        batch = order[start : start + BATCH_SIZE]
        found[batch] = model([sequences[n] for n in batch]).softmax(dim=1).numpy()
    scored = pd.DataFrame(found, columns=[f"probability_{name}" for name in classes])
    scored.insert(0, "sequence", list(by_name))
    scored.insert(1, "label", np.array(classes)[found.argmax(axis=1)])
    return scored


def main() -> None:
    run, inputs, out = map(Path, sys.argv[1:4])
    torch.set_num_threads(int(sys.argv[4]))
    model, classes = load_model(run)
    out.mkdir(parents=True)
    for path in sorted(inputs.glob("*.parquet")):
        score_file(model, classes, path).to_parquet(out / path.name)


if __name__ == "__main__":
    main()
