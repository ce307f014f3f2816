import numpy as np
import pytest
import torch
from torch.nn import functional

from bothways import Dataset, RecurrentClassifier, Sequences, train
from bothways.cli.print_metrics import print_run
from bothways.errors import ConfigError
from bothways.evaluation.calibration import bound_of, fit_temperature
from bothways.evaluation.evaluate import Calibration
from bothways.evaluation.metrics import classification_metrics
from bothways.training.run_metrics import RunMetrics


@pytest.mark.parametrize("true", [0.3, 1.0, 4.0])
def test_the_true_temperature_is_found(true):
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(20_000, 5, generator=generator)
    labels = torch.multinomial((logits / true).softmax(dim=1), 1, generator=generator)[:, 0]
    assert fit_temperature(logits, labels) == pytest.approx(true, rel=0.05)


def test_no_other_temperature_has_a_lower_loss():
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(200, 3, generator=generator).double()
    labels = (logits + torch.randn(200, 3, generator=generator)).argmax(dim=1)
    best = fit_temperature(logits, labels)
    losses = [functional.cross_entropy(logits / (best * f), labels) for f in (0.99, 1, 1.01)]
    assert min(losses) == losses[1]


def test_temperature_bounds():
    right, wrong = torch.arange(3), torch.tensor([1, 2, 0])
    assert fit_temperature(torch.eye(3), right) == 0.1
    assert fit_temperature(9 * torch.eye(3), wrong) == 10
    assert fit_temperature(torch.zeros(3, 3), right) == 0.1


@pytest.mark.parametrize(
    ("temperature", "said"),
    [
        (0.1, "temperature 0.100 (the minimum; the best temperature is lower)"),
        (
            1.5,
            "temperature 1.500\nvalidation log loss 0.5000 -> 0.4000, ",
        ),
        (10.0, "temperature 10.000 (the maximum; the best temperature is higher)"),
    ],
)
def test_a_temperature_at_a_bound_is_reported(capsys, temperature, said):
    calibration = Calibration(temperature, bound_of(temperature), 0.5, 0.4, 0.2, 0.1)
    metrics = classification_metrics(np.eye(2), np.array([0, 0]), ("a", "b"))
    print_run([], RunMetrics(metrics, metrics, None, seed=0, epoch=1, calibration=calibration))
    assert said in capsys.readouterr().out


def noisy(count):
    generator = torch.Generator().manual_seed(2)
    labels = torch.randint(0, 2, (count,), generator=generator)
    steps = labels[:, None, None] + 2.0 * torch.randn(count, 4, 1, generator=generator)
    return Sequences.from_padded(steps, labels=labels)


def test_a_run_is_calibrated_on_the_validation_split(tmp_path):
    dataset = Dataset("noisy", noisy(200), noisy(50), ("low", "high"))
    run = train(
        dataset,
        out=tmp_path / "run",
        calibrate=True,
        validation_fraction=0.3,
        epochs=30,
        hidden_size=16,
    )
    found = run.metrics.calibration
    assert found.temperature != 1
    assert found.bound == bound_of(found.temperature)
    assert found.log_loss_after < found.log_loss_before
    assert run.metrics.validation.log_loss == pytest.approx(found.log_loss_after, rel=1e-5)
    model = run.load()
    assert float(model.classifier.temperature) == pytest.approx(found.temperature)
    assert model.evaluate(dataset.test).log_loss == run.metrics.test.log_loss


def test_calibration_needs_a_validation_split(tmp_path):
    dataset = Dataset("noisy", noisy(20), None, ("low", "high"))
    with pytest.raises(ConfigError, match="calibrate needs a validation set"):
        train(dataset, out=tmp_path / "run", calibrate=True)
    fitted = RecurrentClassifier(
        epochs=3, hidden_size=4, validation_fraction=0.3, settings={"calibrate": True}
    ).fit([values.numpy() for values in noisy(40).steps.view(40, 4, 1)], noisy(40).labels.numpy())
    assert float(fitted.model_.classifier.temperature) != 1
