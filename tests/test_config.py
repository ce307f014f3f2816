import json

import pytest

from bothways import ModelConfig, TrainConfig
from bothways.errors import ConfigError

SIZES = {"input_size": 28, "num_classes": 10}


@pytest.mark.parametrize(
    "config",
    [
        ModelConfig(**SIZES, cell="rnn", nonlinearity="relu"),
        ModelConfig(**SIZES, readout="flatten", sequence_length=28, dropout=0.25),
        TrainConfig(optimizer="sgd", momentum=0.9, schedule="one_cycle", warmup_fraction=0.1),
        TrainConfig(validation_fraction=0.1, patience=3, average_decay=0.99),
    ],
)
def test_json_round_trip(config):
    assert type(config)(**json.loads(config.model_dump_json())) == config


@pytest.mark.parametrize(("old", "normalization"), [(True, "dataset"), (False, "none")])
def test_settings_that_are_older_than_normalization(old, normalization):
    config = ModelConfig(**SIZES, standardize=old)
    assert config == ModelConfig(**SIZES, normalization=normalization)
    assert "standardize" not in config.model_dump()


@pytest.mark.parametrize(
    "settings",
    [
        {"normalization": "robust", "bidirectional": False, "readout": "step"},
        {"normalization": "sequence", "readout": "step"},
        {"normalization": "both", "bidirectional": False},
    ],
)
def test_normalizations_of_steps(settings):
    assert ModelConfig(**SIZES, **settings).normalization == settings["normalization"]


def test_defaults_use_no_extras():
    config = TrainConfig()
    assert (config.optimizer, config.schedule) == ("adam", "constant")
    assert not any(
        (config.weight_decay, config.gradient_clip, config.label_smoothing, config.average_decay)
    )
    assert ModelConfig(**SIZES).readout == "final"


def test_configs_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        TrainConfig().seed = 3


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"hidden_size": -3}, r"hidden_size is -3; expected greater than or equal to 1\. Correct"),
        ({"hidden_size": 2.5}, "hidden_size is 2.5; expected a valid integer"),
        ({"cell": "tcn"}, "cell is 'tcn'; expected 'rnn', 'gru' or 'lstm'"),
        ({"readout": "first"}, "readout 'first' is unknown; expected one of last, final, flatten"),
        ({"readout": "final+men"}, "readout 'men' is unknown; did you mean 'mean'"),
        ({"readout": "max+final+max"}, r"readout is 'max\+final\+max'; .* Use max\+final\."),
        (
            {"readout": "final+step"},
            r"readout is 'final\+step', but step returns features for each",
        ),
        ({"readout": "max+flatten"}, r"sequence_length is None but readout is 'max\+flatten'"),
        ({"dropout": 1.0}, "dropout is 1.0; expected less than 1"),
        ({"dropout": float("nan")}, "dropout is nan; expected a finite number"),
        ({"hiden_size": 3}, "setting 'hiden_size' is unknown; did you mean 'hidden_size'"),
        ({"cell": "gru", "nonlinearity": "relu"}, "nonlinearity is 'relu' but cell is 'gru'"),
        ({"readout": "flatten"}, "sequence_length is None but readout is 'flatten'"),
        ({"sequence_length": 28}, "sequence_length is 28 but readout is 'final'"),
        ({"members": 0}, "members is 0; expected greater than or equal to 1"),
        ({"members": 101}, "members is 101; expected less than or equal to 100"),
        ({"normalization": "z"}, "normalization is 'z'; expected 'none', 'dataset', 'robust'"),
        ({"standardize": "yes"}, "setting 'standardize' is unknown"),
        (
            {"normalization": "both", "readout": "step", "bidirectional": False},
            "normalization is 'both', which reads a whole sequence, but readout is 'step' and "
            "bidirectional is false; .* Set normalization=robust, or bidirectional=true",
        ),
    ],
)
def test_bad_model_settings_are_one_line(values, message):
    with pytest.raises(ConfigError, match=message) as error:
        ModelConfig(**{**SIZES, **values})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": 0}, "epochs is 0"),
        ({"learning_rate": 0}, "learning_rate is 0; expected greater than 0"),
        ({"optimizer": "lion"}, "optimizer is 'lion'; expected 'adam', 'adamw' or 'sgd'"),
        ({"validation_fraction": 1}, "validation_fraction is 1"),
        ({"patience": 2}, "patience is 2 but validation_fraction is 0.*never the test part"),
        ({"momentum": 0.9}, "momentum is 0.9 but optimizer is 'adam'"),
        ({"warmup_fraction": 0.3}, "warmup_fraction is 0.3 but schedule is 'constant'"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_bad_training_settings_are_one_line(values, message):
    with pytest.raises(ConfigError, match=message) as error:
        TrainConfig(**values)
    assert "\n" not in str(error.value)


def test_missing_setting_is_named():
    with pytest.raises(ConfigError, match="setting 'num_classes' is missing"):
        ModelConfig(input_size=3)
