"""The command, in processes that start at once, or in the process of the test.

A child forked from a process that has imported torch starts in a tenth of a second; a new
interpreter takes two seconds. The child has its own exit code, streams and signals.
"""

import multiprocessing
import os
import socket
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from typer.testing import CliRunner

from bothways.cli.main import app

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    [
        "pytest",
        "torch._dynamo",  # imported by the first optimizer
        "bothways.cli.print_data",
        "bothways.cli.print_metrics",
        "bothways.cli.print_models",
        "bothways.training.run",
    ]
)

# For `run_command`: `bothways bench` without the time that a measurement takes.
BRIEF_BENCH = """
import multiprocessing
from bothways.cli import bench
bench._SECONDS = 0.0
fork = multiprocessing.get_context("fork")  # a new interpreter would take two seconds
bench.multiprocessing.get_context = lambda method: fork
"""

CHILD = """
import os, sys
for path, stream in ((output, sys.stdout), (errors, sys.stderr)):
    os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream.fileno())
os.chdir(folder)
exec(before)
sys.argv = ["bothways", *arguments]
from bothways.cli.main import main
main()
"""


def start_command(*arguments, output, errors=None, folder=".", before=""):
    """Start the command in a child that writes to the files `output` and `errors`.

    Parameters
    ----------
    arguments : of any type that `str` converts to the command's arguments
    output, errors : Path
        Where the streams go; default of `errors`: `output`.
    folder : Path
        The working folder of the child.
    before : str
        Code that the child runs first.
    """
    values = {
        "output": os.fspath(output),
        "errors": os.fspath(errors or output),
        "folder": os.fspath(Path(folder).absolute()),
        "before": before,
        "arguments": [str(argument) for argument in arguments],
    }
    process = FORKS.Process(target=exec, args=(CHILD, values))
    process.start()
    return process


def run_command(*arguments, folder=".", before="", timeout=100):
    """Run the command in a child; return its exit code and what it printed."""
    with TemporaryDirectory() as streams:
        output, errors = (Path(streams, name) for name in ("output", "errors"))
        process = start_command(
            *arguments, output=output, errors=errors, folder=folder, before=before
        )
        process.join(timeout)
        if process.is_alive():
            process.kill()
            process.join()
            raise TimeoutError(f"{arguments} did not end within {timeout} s")
        return subprocess.CompletedProcess(
            arguments, process.exitcode, output.read_text(), errors.read_text()
        )


def start_processes(count, *arguments, streams, **options):
    """Start the command in `count` processes, as torchrun does; see `start_command`.

    Process n writes to the files `n.out` and `n.err` in the folder `streams`.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    before = options.pop("before", "")
    common = {"WORLD_SIZE": count, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    processes = []
    for rank in range(count):
        variables = {**common, "RANK": rank, "LOCAL_RANK": rank}
        texts = {name: str(value) for name, value in variables.items()}
        processes.append(
            start_command(
                *arguments,
                output=streams / f"{rank}.out",
                errors=streams / f"{rank}.err",
                before=f"import os\nos.environ |= {texts}\nrank = {rank}\n{before}",
                **options,
            )
        )
    return processes


def invoke(*arguments, stdin=None):
    """Run a command in this process, with a text as `stdin`; unexpected errors are raised."""
    return CliRunner().invoke(app, [str(a) for a in arguments], input=stdin, catch_exceptions=False)


def succeed(*arguments, stdin=None):
    result = invoke(*arguments, stdin=stdin)
    assert result.exit_code == 0, result.stderr
    return result


def refuse(*arguments, stdin=None):
    """Return the one-line error of a command."""
    result = invoke(*arguments, stdin=stdin)
    lines = result.stderr.splitlines()
    assert result.exit_code == 2
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("bothways: ")
    return lines[0].removeprefix("bothways: ")
