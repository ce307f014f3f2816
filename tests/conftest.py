"""Settings for all tests: one thread, compiled engines, and fewer cases of large tests."""

import fcntl
import os
import time

import pytest
import torch
from allpairspy import AllPairs

from bothways.kernels.cells import GRU, LSTM, RNN_RELU, RNN_TANH
from bothways.kernels.compiled.cache import entry_address

# Workers of pytest-xdist inherit the environment, and so the seed.
SEED = int(os.environ.setdefault("BOTHWAYS_TEST_SEED", str(time.time_ns() % 1_000_000_000)))

# The tensors in these tests are tiny: a second thread would only wait for the first.
torch.set_num_threads(1)


def pytest_report_header():
    return f"BOTHWAYS_TEST_SEED={SEED}"


@pytest.fixture
def seed():
    """Return a seed that differs in each run; a test that fails prints it."""
    print(f"To repeat this test: BOTHWAYS_TEST_SEED={SEED} pytest ...")
    return SEED


@pytest.fixture(scope="session", autouse=True)
def engine(tmp_path_factory):
    """Compile the engine before the first test: some tests compare all that a command prints."""
    cells = [RNN_TANH, RNN_RELU, GRU, LSTM]
    if os.environ.get("PYTEST_XDIST_WORKER") == "gw1":
        cells.reverse()  # two workers compile two cells each, and load the others from the cache
    for cell in cells:
        with (tmp_path_factory.getbasetemp().parent / f"{cell.mode}.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # another worker may be compiling it
            entry_address(cell)


@pytest.fixture(autouse=True)
def torch_seed():
    """Give each test the same random numbers, whatever ran before it in its process."""
    torch.manual_seed(0)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark cases of a `pairwise` test as slow unless they are needed to cover all pairs of values.

    Most faults depend on one parameter or on two at once. `make test-all` runs every case.
    """
    tests = {}
    for item in items:
        if item.get_closest_marker("pairwise"):
            tests.setdefault(item.function, []).append(item)
    for cases in tests.values():
        table = [[repr(value) for value in case.callspec.params.values()] for case in cases]
        columns = [list(dict.fromkeys(column)) for column in zip(*table, strict=True)]
        covering = [list(row) for row in AllPairs(columns)]
        for case, row in zip(cases, table, strict=True):
            if row not in covering:
                case.add_marker(pytest.mark.slow)
