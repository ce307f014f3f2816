"""The layers of a plain PyTorch model can be replaced by those of bothways, and back."""

import torch

import bothways.nn


class Tagger(torch.nn.Module):
    """A model written for PyTorch only."""

    def __init__(self, lstm=torch.nn.LSTM):
        super().__init__()
        self.lstm = lstm(6, 20, num_layers=2, batch_first=True, bidirectional=True)
        self.fc = torch.nn.Linear(40, 3)

    def forward(self, inputs):
        outputs, _ = self.lstm(inputs)
        return self.fc(outputs)


def train(model, inputs, labels, steps):
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for _ in range(steps):
        loss = torch.nn.functional.cross_entropy(model(inputs).flatten(0, 1), labels.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_swap_train_save_and_swap_back(tmp_path):
    torch.manual_seed(0)
    inputs = torch.randn(16, 12, 6)
    labels = inputs.sum(dim=2).cumsum(dim=1).sign().long() + 1
    old = Tagger()
    first = train(old, inputs, labels, 5)
    torch.save(old.state_dict(), tmp_path / "old.pt")

    swapped = Tagger(lstm=bothways.nn.LSTM)  # the only changed line
    swapped.load_state_dict(torch.load(tmp_path / "old.pt", weights_only=True))
    assert swapped.lstm.backend_choice.name == "compiled"
    torch.testing.assert_close(swapped(inputs), old(inputs), atol=5e-6, rtol=1e-5)
    second = train(swapped, inputs, labels, 40)
    assert second[-1] < 0.5 * first[0]
    torch.save(swapped.state_dict(), tmp_path / "new.pt")

    back = Tagger()
    back.load_state_dict(torch.load(tmp_path / "new.pt", weights_only=True))
    torch.testing.assert_close(back(inputs), swapped(inputs), atol=5e-6, rtol=1e-5)
    alone = Tagger()
    alone.load_state_dict(torch.load(tmp_path / "old.pt", weights_only=True))
    losses = train(alone, inputs, labels, 40)
    for actual, expected in zip(second, losses, strict=True):
        assert abs(actual - expected) < 1e-3
