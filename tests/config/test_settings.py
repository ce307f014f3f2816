"""What all settings have in common."""

import json
from types import UnionType
from typing import Union, get_args, get_origin

import pytest

from bothways import ModelConfig, TrainConfig
from bothways.config import Architecture, Augmentation
from bothways.errors import ConfigError

SIZES = {"input_size": 28, "num_classes": 10}


@pytest.mark.parametrize(
    "config",
    [
        ModelConfig(**SIZES, cell="rnn", nonlinearity="relu"),
        ModelConfig(**SIZES, readout="flatten", sequence_length=28, dropout=0.25),
        TrainConfig(optimizer="sgd", momentum=0.9, schedule="one_cycle", warmup_fraction=0.1),
        Augmentation(augment_noise=0.1, augment_rotation=5),
        TrainConfig(validation_fraction=0.1, patience=3, average_decay=0.99),
    ],
)
def test_json_round_trip(config):
    assert type(config)(**json.loads(config.model_dump_json())) == config


def test_configs_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        TrainConfig().seed = 3


def test_missing_setting_is_named():
    with pytest.raises(ConfigError, match="setting 'num_classes' is missing"):
        ModelConfig(input_size=3)


def test_an_unknown_setting_is_named():
    with pytest.raises(ConfigError, match="setting 'sed' is unknown; did you mean 'seed'"):
        TrainConfig(sed=1)


@pytest.mark.parametrize("settings", [Architecture, TrainConfig])
def test_fields_of_several_types_describe_what_they_accept(settings):
    for name, field in settings.model_fields.items():
        is_union = get_origin(field.annotation) in (Union, UnionType)
        types = set(get_args(field.annotation)) - {type(None)} if is_union else set()
        assert (len(types) > 1) == (field.description is not None), name
