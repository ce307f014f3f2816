import pytest

from bothways import TrainConfig
from bothways.errors import ConfigError


def test_defaults_use_no_extras():
    config = TrainConfig()
    assert (config.optimizer, config.schedule) == ("adam", "constant")
    assert not any(
        (config.weight_decay, config.gradient_clip, config.label_smoothing, config.average_decay)
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": 0}, "epochs is 0"),
        ({"learning_rate": 0}, "learning_rate is 0; expected greater than 0"),
        ({"optimizer": "lion"}, "optimizer is 'lion'; expected 'adam', 'adamw' or 'sgd'"),
        ({"validation_fraction": 1}, "validation_fraction is 1"),
        ({"patience": 2}, "patience is 2 but validation_fraction is 0.*never the test set"),
        ({"momentum": 0.9}, "momentum is 0.9 but optimizer is 'adam'"),
        ({"warmup_fraction": 0.3}, "warmup_fraction is 0.3 but schedule is 'constant'"),
        *(
            (
                {"batch_size": value},
                f"^batch_size is {value!r}; expected a whole number of at least 1, or 'auto'. C",
            )
            for value in ("foo", 0, 1.5)
        ),
        (
            {"class_weights": [1, -2]},
            r"^class_weights is \[1, -2\]; expected 'none', 'balanced', or a weight of at least 0",
        ),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_bad_training_settings_are_one_line(values, message):
    with pytest.raises(ConfigError, match=message) as error:
        TrainConfig(**values)
    assert "\n" not in str(error.value)
