"""Settings of the process that the command line makes before it starts."""

import os
import subprocess
import sys

import pytest

PRINT = """
import os, sys
from bothways.cli.main import main
try:
    main()
except SystemExit:
    print(os.environ.get("GOMP_SPINCOUNT"))
"""


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "10000"),
        ({"GOMP_SPINCOUNT": "70"}, "70"),
        ({"OMP_WAIT_POLICY": "active"}, "None"),
    ],
)
def test_idle_threads_spin_briefly_unless_the_user_decides(environment, expected):
    names = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    clean = {name: value for name, value in os.environ.items() if name not in names}
    command = [sys.executable, "-c", PRINT, "recipes"]
    done = subprocess.run(command, env=clean | environment, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == expected


def test_torch_is_not_imported_before_the_setting():
    code = "import sys, bothways.cli.main; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "False"
