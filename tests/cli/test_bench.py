"""`bothways bench`: the engine ahead of time, and a quick comparison."""

import json

import pytest
from typer.testing import CliRunner

from bothways.cli.bench import BenchShape, compare
from bothways.cli.main import app
from bothways.errors import ConfigError

TINY = ["--hidden", "4", "--layers", "1", "--batch", "2", "--time", "3", "--input", "2"]


def test_both_sides_are_timed():
    result = CliRunner().invoke(app, ["bench", *TINY, "--rounds", "1", "--json", "--threads", "1"])
    assert result.exit_code == 0, result.output
    times = json.loads(result.stdout)
    assert set(times) == {"bothways.nn", "torch.nn"}
    assert all(value > 0 for side in times.values() for value in side.values())


def test_warm_compiles_every_cell_and_says_where():
    result = CliRunner().invoke(app, ["bench", "--warm"])
    assert result.exit_code == 0, result.output
    assert [line.partition(":")[0] for line in result.stdout.splitlines()] == [
        "LSTM",
        "GRU",
        "RNN_TANH",
        "RNN_RELU",
    ]


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (BenchShape(batch_size=0), "batch_size is 0; expected at least 1"),
        (BenchShape(cell="tcn"), "cell is 'tcn'; expected rnn, gru or lstm"),
    ],
)
def test_a_shape_that_cannot_be(shape, message):
    with pytest.raises(ConfigError, match=message):
        compare(shape, threads=1)
