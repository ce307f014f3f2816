"""A manifest and metrics, for tests of model cards."""

from bothways.config import ModelConfig, TrainConfig
from bothways.evaluation.metrics import ClassMetrics, Metrics
from bothways.models.manifest import Manifest, Preprocessing, Provenance, TrainingData


def make_manifest(*, classes=("walk", "run", "jump"), name="gestures.npz", **settings):
    """Return the manifest of a model of 6 features that was trained on `name`."""
    preprocessing = settings.pop("preprocessing", Preprocessing())
    if "flatten" in settings.get("readout", ""):
        settings.setdefault("sequence_length", 20)
    return Manifest(
        model=ModelConfig(input_size=6, num_classes=len(classes), **settings),
        classes=classes,
        preprocessing=preprocessing,
        provenance=Provenance(
            recipe="lstm-last",
            data=TrainingData(
                name=name,
                train_count=54000,
                test_count=1000,
                split_counts={"train": 48600, "validation": 5400, "test": 1000},
                train_sha256="ab" * 32,
            ),
            training=TrainConfig(seed=17, validation_fraction=0.1),
            threads=2,
            versions={"bothways": "1.2.3", "torch": "4.5.6"},
        ),
    )


def make_metrics(*, recalls=None, counts=None, **values):
    """Return metrics; `recalls` and `counts` are those of the classes, by name."""
    recalls = recalls or {}
    counts = counts or dict.fromkeys(recalls, 100)
    figures = {
        "accuracy": 0.98765,
        "balanced_accuracy": 0.97654,
        "count": 12345,
        "correct": 12193,
        "log_loss": 0.04321,
        "expected_calibration_error": 0.0000123,
        "macro_f1": 0.96543,
        "confusion_matrix": [],
    }
    per_class = {
        name: ClassMetrics(0.9, recalls.get(name, 0.9), 0.9, count)
        for name, count in counts.items()
    }
    return Metrics(**figures | values, per_class=per_class)
