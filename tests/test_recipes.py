from dataclasses import replace

import pytest

from bothways.config import TrainConfig
from bothways.errors import ConfigError
from bothways.recipes import all_recipes, load_recipe, parse_choices, parse_settings

# As published: cell, both directions, layers, hidden size, readout, batch, Adam's rate, epochs.
PUBLISHED = {
    "bilstm-last": ("lstm", True, 2, 256, "last", 64, 0.001, 2),
    "lstm-flatten": ("lstm", False, 2, 256, "flatten", 64, 0.005, 3),
    "birnn-128": ("lstm", True, 2, 128, "last", 100, 0.003, 2),
    "lstm-last": ("lstm", False, 2, 256, "last", 64, 0.001, 2),
    "bilstm-12-flatten": ("lstm", True, 2, 12, "flatten", 128, 0.005, 11),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_settings(name):
    recipe = load_recipe(name)
    model, training = recipe.model, recipe.training
    assert PUBLISHED[name] == (
        *(
            getattr(model, k)
            for k in ("cell", "bidirectional", "num_layers", "hidden_size", "readout")
        ),
        training.batch_size,
        training.learning_rate,
        training.epochs,
    )


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_recipes_use_plain_adam_and_all_data(name):
    training = load_recipe(name).training
    changed = {"batch_size", "learning_rate", "epochs"}
    assert training.model_dump(exclude=changed) == TrainConfig().model_dump(exclude=changed)


def test_recipes_are_in_the_order_of_the_notebooks():
    assert [recipe.name for recipe in all_recipes()] == [
        "best",
        "default",
        "fast",
        "quick",
        "time-series",
        *PUBLISHED,
    ]


def test_default_is_bidirectional_with_a_validation_split():
    recipe = load_recipe("default")
    assert recipe.model.bidirectional
    assert recipe.model.readout != "last"
    assert recipe.training.validation_fraction > 0


def test_settings_replace_model_and_training():
    recipe = load_recipe("lstm-last").with_settings({"readout": "flatten", "seed": 3})
    assert recipe.model.readout == "flatten"
    assert recipe.training.seed == 3
    assert recipe.training.batch_size == 64


@pytest.mark.parametrize("normalization", ["none", "dataset", "robust", "sequence", "both"])
def test_labels_of_steps_do_not_depend_on_later_steps_by_default(normalization):
    recipe = load_recipe("default").with_settings({"normalization": normalization})
    of_steps = recipe.for_target("step")
    usual = of_steps.with_settings({"bidirectional": False}).model.normalization
    assert usual == ("robust" if normalization in ("sequence", "both") else normalization)
    chosen = of_steps.with_settings({"normalization": "sequence"})
    assert chosen.model.normalization == "sequence"


@pytest.mark.parametrize(
    ("settings", "length"),
    [
        ({}, (1000, 20)),
        ({"steps": 300}, (300, None)),
        ({"epochs": 7}, (None, 7)),
        ({"steps": 300, "epochs": 7}, (300, 7)),
        ({"steps": None}, (None, 20)),
        ({"epochs": None}, (1000, None)),
    ],
)
def test_a_new_length_replaces_the_old_one(settings, length):
    training = load_recipe("time-series").with_settings(settings).training
    assert (training.steps, training.epochs) == length


def test_a_recipe_may_have_settings_for_labels_of_steps():
    recipe = replace(load_recipe("default"), step_labels={"crop_steps": 64, "dropout": 0.3})
    assert recipe.for_target("sequence") == recipe
    assert recipe.training.crop_steps is None
    chosen = recipe.for_target("step").with_settings({"dropout": 0.5})
    assert (chosen.training.crop_steps, chosen.model.dropout) == (64, 0.5)


def test_further_settings_keep_those_chosen_for_labels_of_steps():
    recipe = load_recipe("time-series").for_target("step")
    assert recipe.training.crop_steps == 256
    chosen = recipe.with_settings({"crop_steps": None}).with_settings({"seed": 1})
    assert (chosen.training.crop_steps, chosen.training.seed) == (None, 1)
    assert chosen.model.readout == "step"


@pytest.mark.parametrize("recipe", all_recipes(), ids=lambda recipe: recipe.name)
def test_every_recipe_can_label_steps(recipe):
    model = recipe.for_target("step").model
    assert (model.readout, model.stem_channels, model.stem_stride) == ("step", None, 1)
    assert not model.normalizes_sequences


@pytest.mark.parametrize(("value", "name"), [(True, "dataset"), (False, "none")])
def test_standardize_is_refused_with_its_successor(value, name):
    message = f"standardize is {value}, but normalization has .* Set normalization={name}"
    with pytest.raises(ConfigError, match=message):
        load_recipe("default").with_settings({"standardize": value})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hiden_size": 3}, "setting 'hiden_size' is unknown; did you mean 'hidden_size'"),
        ({"input_size": 3}, "setting 'input_size' is unknown"),
        ({"hidden_size": 0}, "hidden_size is 0"),
        ({"epochs": "many"}, "epochs is 'many'"),
    ],
)
def test_bad_settings_are_refused_before_anything_runs(settings, message):
    with pytest.raises(ConfigError, match=message):
        load_recipe("default").with_settings(settings)


def test_unknown_recipe_is_refused():
    with pytest.raises(ConfigError, match="recipe 'lstm' is unknown; did you mean 'lstm-last'"):
        load_recipe("lstm")


def test_settings_are_json_or_text():
    assert parse_settings(["a=1", "b=1e-3", "c=null", "d=flatten", "e=true", "f=x=y"]) == {
        "a": 1,
        "b": 1e-3,
        "c": None,
        "d": "flatten",
        "e": True,
        "f": "x=y",
    }


def test_setting_without_value_is_refused():
    with pytest.raises(ConfigError, match="setting 'readout' has no value; expected name=value"):
        parse_settings(["readout"])


def test_choices_of_a_setting_that_is_given_again_are_added():
    found = parse_choices(["steps=20,30", "cell=gru", "steps=40"])
    assert found == {"steps": [20, 30, 40], "cell": ["gru"]}
