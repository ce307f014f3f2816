"""The section of docs/results.md about MNIST, and the table of README.md."""

import pytest
from mnist_results import NOTEBOOK_SEEDS, OWN_SEEDS, mnist_section, notebook_recipes, own_recipes
from mnist_results import short_table as table_of

MACHINE = {"processor": "P", "cores": 2, "threads": 2, "torch": "2", "python": "3"}


def record(recipe, seed, accuracy):
    return {
        "data": "mnist",
        "recipe": recipe,
        "seed": seed,
        "machine": MACHINE,
        "peak_gflops": 300.0,
        "epochs": [{"seconds": 1.0}, {"seconds": 3.0 + seed}],
        "wall_seconds": 20.0,
        "metrics": {"train": {"accuracy": 0.999}, "test": {"accuracy": accuracy}},
    }


def records(accuracies):
    """Return records of all recipes; those of `default` have these accuracies."""
    return [
        *(record("default", seed, accuracy) for seed, accuracy in enumerate(accuracies)),
        *(record(r.name, s, 0.99) for r in own_recipes() if r.name != "default" for s in OWN_SEEDS),
        *(record(recipe.name, s, 0.9) for recipe in notebook_recipes() for s in NOTEBOOK_SEEDS),
        {"data": "shape", "recipe": "time-series"},
    ]


@pytest.mark.parametrize(
    ("accuracies", "target"),
    [
        ((0.9926, 0.994, 0.994, 0.994, 0.994), "99.35 reached; lowest 99.25 reached"),
        ((0.9924, 0.995, 0.995, 0.995, 0.995), "99.35 reached; lowest 99.25 **missed**"),
        ((0.9930, 0.9934, 0.9934, 0.9934, 0.9934), "99.35 **missed**; lowest 99.25 reached"),
    ],
)
def test_default_has_a_mean_and_a_lowest_accuracy_to_reach(accuracies, target):
    (row,) = (line for line in mnist_section(records(accuracies)) if "lowest" in line)
    assert row.startswith("| `default` |")
    assert f"| {target} | 6.0 | 20 |" in row
    assert f"({100 * min(accuracies):.2f} to {100 * max(accuracies):.2f})" in row


def test_a_notebook_is_compared_with_its_published_accuracy():
    section = mnist_section(records([0.994] * 5))
    (row,) = (line for line in section if line.startswith("| `lstm-last`"))
    assert row == (
        "| `lstm-last` | 97.69 / 97.67 | 99.90 | **90.00** (90.00 to 90.00) | 97.27 **missed** "
        "| 5.0 | 20 |"
    )


def test_a_recipe_without_records_is_left_out():
    others = [r for r in records([0.994] * 5) if r["recipe"] != "best"]
    assert not any(line.startswith("| `best` | MNIST") for line in mnist_section(others))
    assert not any("`best`" in line for line in table_of(others).splitlines())
    assert any("`best`" in line for line in table_of(records([0.994] * 5)).splitlines())


def test_the_short_table_has_a_row_for_each_recipe():
    rows = table_of(records([0.994] * 5)).splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == [
        recipe.name for recipe in (*own_recipes(), *notebook_recipes())
    ]
    assert rows[2].endswith("| - | **99.40** (99.40 to 99.40) |")
