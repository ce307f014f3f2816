"""Models of the recipes for MNIST, and the notebooks' models and data in plain PyTorch."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from bothways import ModelConfig, open_dataset
from bothways.recipes import Recipe


class PlainModel(nn.Module):
    """The model of the notebooks: an LSTM and a linear layer on the last or all outputs."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.lstm = nn.LSTM(
            config.input_size,
            config.hidden_size,
            config.num_layers,
            batch_first=True,
            bidirectional=config.bidirectional,
        )
        width = config.hidden_size * (2 if config.bidirectional else 1)
        self.flatten = config.readout == "flatten"
        self.fc = nn.Linear(width * 28 if self.flatten else width, config.num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs, _ = self.lstm(inputs)
        logits: Tensor = self.fc(outputs.flatten(1) if self.flatten else outputs[:, -1])
        return logits


class Digits(TorchDataset[tuple[Tensor, Tensor]]):
    """MNIST digits that are scaled on access, like torchvision's MNIST with ToTensor."""

    def __init__(self) -> None:
        train = open_dataset("mnist").train
        self.pixels = (train.steps * 255).round().to(torch.uint8).view(-1, 28, 28)
        self.labels = train.labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.pixels[index].float().div(255), self.labels[index]


def config_of(recipe: Recipe) -> ModelConfig:
    """Return the architecture of a recipe for MNIST."""
    return ModelConfig.for_data(recipe.model, input_size=28, num_classes=10, longest=28)


def batch_size_of(recipe: Recipe) -> int:
    """Return the batch size of a recipe for MNIST."""
    size = recipe.training.batch_size
    assert isinstance(size, int)  # in all recipes for MNIST
    return size


class PlainTraining:
    """The training of a notebook's model as the notebook does it."""

    def __init__(self, recipe: Recipe) -> None:
        self.model = PlainModel(config_of(recipe))
        rate = recipe.training.learning_rate
        self._optimizer = torch.optim.Adam(self.model.parameters(), lr=rate)
        self._loader = DataLoader(Digits(), batch_size=batch_size_of(recipe), shuffle=True)
        self._criterion = nn.CrossEntropyLoss()

    def epoch(self) -> Iterator[int]:
        """Train for an epoch; yield the number of steps after each step."""
        for step, (images, labels) in enumerate(self._loader, start=1):
            loss = self._criterion(self.model(images), labels)
            self._optimizer.zero_grad()
            loss.backward()
            self._optimizer.step()
            yield step
