"""Write this version's golden models: run once a release, commit, and never change them again.

python tests/goldens/make.py
"""

from importlib.metadata import version
from pathlib import Path

import torch

from bothways import ModelConfig, SequenceClassifier, TrainedClassifier
from bothways.models.manifest import Manifest
from bothways.storage.tensors import save_tensors

MODELS = {
    "lstm-both-final": {"cell": "lstm", "num_layers": 2},
    "lstm-both-last": {"cell": "lstm", "readout": "last"},
    "gru-both-attention": {"cell": "gru", "readout": "attention"},
    "gru-forward-max": {"cell": "gru", "readout": "max", "bidirectional": False},
    "rnn-relu-both-mean": {"cell": "rnn", "nonlinearity": "relu", "readout": "mean"},
    "gru-both-normalized": {"cell": "gru", "normalization": "both", "missing": "mask"},
    "rnn-forward-flatten": {
        "cell": "rnn",
        "readout": "flatten",
        "sequence_length": 6,
        "bidirectional": False,
    },
}


def main() -> None:
    torch.manual_seed(0)
    for name, settings in MODELS.items():
        folder = Path(__file__).parent / version("bothways") / name
        config = ModelConfig(input_size=3, hidden_size=4, num_classes=2, **settings)
        classifier = SequenceClassifier(config).eval()
        inputs, lengths = torch.randn(5, 6, 3), torch.tensor([6, 1, 4, 6, 2])
        manifest = Manifest(model=config, classes=("no", "yes"))
        TrainedClassifier(classifier, manifest).save(folder)
        with torch.no_grad():
            logits = classifier(inputs, lengths)
        case = {"inputs": inputs, "lengths": lengths, "logits": logits}
        save_tensors(folder / "case.safetensors", case, {})


if __name__ == "__main__":
    main()
