"""`bothways bench`: compile the engine, and compare its speed with torch.nn."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from commands import BRIEF_BENCH, run_command
from typer.testing import CliRunner

from bothways.cli import bench
from bothways.cli.bench import BenchShape, compare
from bothways.cli.main import app
from bothways.errors import ConfigError
from bothways.kernels.compiled.instruction_sets import host_target
from bothways.kernels.compiled.stats import counters
from bothways.nn.recurrent import RecurrentLayers

SHAPE = BenchShape(hidden_size=4, num_layers=2, batch_size=2, time=3, input_size=5)
ROW_STEPS = 2 * 2 * 2 * 3  # layers, directions, rows, time steps


def run_side(monkeypatch, shape, side):
    """Return what the engine counts in one training step and in one inference of a side."""
    counts = []

    def run_once(step):
        saved = []
        counters.reset()
        with torch.autograd.graph.saved_tensors_hooks(
            lambda tensor: saved.append(None) or tensor, lambda tensor: tensor
        ):
            step()
        counts.append((counters.forward, counters.backward, counters.row_steps))
        assert bool(saved) == (len(counts) == 1)  # only training makes a graph
        return len(counts)

    monkeypatch.setattr(bench, "_median_seconds", run_once)
    assert bench._time_side(shape, side, threads=1) == (1, 2)
    return counts


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_bothways_is_timed_on_the_compiled_engine(monkeypatch, cell):
    shape = BenchShape(**(vars(SHAPE) | {"cell": cell}))
    training, inference = run_side(monkeypatch, shape, "bothways.nn")
    assert training == (1, 1, ROW_STEPS)
    assert inference == (1, 0, ROW_STEPS)


def test_the_last_output_takes_one_backward_step_of_the_top_layer(monkeypatch):
    training, inference = run_side(monkeypatch, replace(SHAPE, last=True), "bothways.nn")
    assert training == (1, 1, ROW_STEPS - 2 * (3 - 1))
    assert inference == (1, 0, ROW_STEPS - 2 * (3 - 1))


def test_torch_is_timed_without_the_engine(monkeypatch):
    assert run_side(monkeypatch, SHAPE, "torch.nn") == [(0, 0, 0)] * 2


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ([0.25, 0.125, 2.0], 0.25),  # more than a second in five steps
        ([2.0, 4.0, 30.0], 4.0),  # at least five steps
        ([0.0625], 0.0625),  # sixteen steps in a second
    ],
)
def test_a_time_is_the_median_of_a_second_after_a_warm_up(monkeypatch, seconds, expected):
    clock = [0.0]
    calls = []

    def step():
        calls.append(None)
        warm_up = len(calls) <= 3
        clock[0] += 1000.0 if warm_up else seconds[(len(calls) - 4) % len(seconds)]

    monkeypatch.setattr(bench.time, "perf_counter", lambda: clock[0])
    assert bench._median_seconds(step) == expected
    timed = len(calls) - 3
    total = clock[0] - 3000
    assert timed >= 5
    assert total >= 1
    assert timed == 5 or total - seconds[(timed - 1) % len(seconds)] < 1  # and no step more


def test_sides_alternate_in_processes_of_their_own(monkeypatch):
    times = iter([(0.003, 0.001), (0.03, 0.01), (0.009, 0.004), (0.06, 0.02), (0.005, 0.002),
                  (0.05, 0.04)])  # fmt: skip
    log = []

    class Pool:
        def __init__(self, workers, mp_context):
            log.append((workers, mp_context.get_start_method()))

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def submit(self, function, shape, side, threads):
            log.append((function, shape, side, threads))
            return self

        def result(self):
            return next(times)

    monkeypatch.setattr(bench, "ProcessPoolExecutor", Pool)
    sides = []
    result = compare(SHAPE, threads=7, rounds=3, progress=sides.append)
    assert sides == ["bothways.nn", "torch.nn"] * 3
    assert log == [
        entry for side in sides for entry in ((1, "spawn"), (bench._time_side, SHAPE, side, 7))
    ]
    assert result["bothways.nn"] == pytest.approx({"training": 5, "inference": 2})
    assert result["torch.nn"] == pytest.approx({"training": 50, "inference": 20})


def test_the_command_prints_a_time_of_each_side():
    options = ["--hidden", 4, "--layers", 1, "--batch", 2, "--time", 3, "--input", 2]
    result = run_command(
        "bench", *options, "--rounds", 1, "--json", "--threads", 1, before=BRIEF_BENCH
    )
    assert (result.returncode, result.stderr) == (0, "")
    times = json.loads(result.stdout)
    assert set(times) == {"bothways.nn", "torch.nn"}
    for side in times.values():
        assert set(side) == {"training", "inference"}
        assert all(isinstance(milliseconds, float) for milliseconds in side.values())


def test_the_measured_shape_is_printed(monkeypatch):
    times = {"training": 2.0, "inference": 1.0}
    monkeypatch.setattr(bench, "compare", lambda *_: {"bothways.nn": times, "torch.nn": times})
    printed = CliRunner().invoke(app, ["bench", "--threads", "1"]).stdout
    assert printed.startswith(
        "bidirectional LSTM 2x128, batch 64, 28 steps, all outputs, 1 thread\n"
    )
    options = ["--cell", "gru", "--forward", "--time", "1", "--last", "--threads", "2"]
    assert (
        CliRunner()
        .invoke(app, ["bench", *options])
        .stdout.startswith("forward GRU 2x128, batch 64, 1 step, the last output only, 2 threads\n")
    )


def test_a_precision_that_is_refused_is_one_line():
    for mode in ("--warm", "--distributed", "--last"):
        result = run_command("bench", mode, "--precision", "float16")
        assert (result.returncode, result.stdout, result.stderr.count("\n")) == (2, "", 1)
        assert "precision" in result.stderr


@pytest.mark.skipif(not host_target().has_bfloat16, reason="this processor has no AVX512_BF16")
def test_the_engine_is_timed_with_the_precision(monkeypatch):
    used = []

    def find_precision(step):
        step()
        used.append([layers.precision for layers in made])

    made = []
    create = RecurrentLayers.__init__

    def remember(layers, *arguments, **options):
        create(layers, *arguments, **options)
        made.append(layers)

    monkeypatch.setattr(RecurrentLayers, "__init__", remember)
    monkeypatch.setattr(bench, "_median_seconds", find_precision)
    shape = replace(SHAPE, precision="bfloat16")
    bench._time_side(shape, "bothways.nn", threads=1)
    bench._time_side(shape, "torch.nn", threads=1)
    assert used == [["bfloat16"]] * 4
    assert shape.describe(1).endswith(", 1 thread, bfloat16")


def test_warm_compiles_every_cell_and_prints_where(tmp_path):
    result = CliRunner().invoke(app, ["bench", "--warm"])
    assert result.exit_code == 0, result.output
    lines = [line.split(": ") for line in result.stdout.splitlines()]
    assert [mode for mode, _ in lines] == ["LSTM", "GRU", "RNN_TANH", "RNN_RELU"]
    for mode, path in lines:
        assert Path(path).name.startswith(f"{mode.lower()}-")
        assert Path(path).stat().st_size > 10_000


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (BenchShape(batch_size=0), "batch_size is 0; expected at least 1"),
        (BenchShape(cell="tcn"), "cell 'tcn' is unknown; expected one of rnn, gru, lstm"),
    ],
)
def test_impossible_shapes_are_refused(shape, message):
    with pytest.raises(ConfigError, match=message):
        compare(shape, threads=1)


def test_threads_are_set(monkeypatch):
    found = []
    monkeypatch.setattr(
        bench, "_median_seconds", lambda step: found.append(torch.get_num_threads())
    )
    try:
        bench._time_side(SHAPE, "torch.nn", threads=2)
    finally:
        torch.set_num_threads(1)
    assert found == [2, 2]


def test_distributed_steps_are_measured_in_each_division():
    few_steps = "from bothways.cli import bench_processes as b; b.STEPS = b.WARM_UP + 1"
    sizes = ["--hidden", 4, "--batch", 4, "--time", 3, "--rounds", 1]
    result = run_command(
        "bench", "--distributed", *sizes, "--json", before=f"{BRIEF_BENCH}\n{few_steps}"
    )
    assert result.returncode == 0, result.stderr
    scaling = json.loads(result.stdout)
    assert list(scaling) == [
        "1 process of 1 thread",
        "2 processes of 1 thread",
        "1 process of 2 threads",
    ]
    assert all(milliseconds > 0 for milliseconds in scaling.values())
