"""Execute the code blocks of a page.

Blocks are executed in their order, in one folder and one namespace:

- ```python is executed.
- ```console has commands behind a prompt, `$ `, each followed by what it prints. bothways runs in
  this process, a server in one of its own, and a few other programs in a shell; `tail -f` ends at
  the end of its file, and bothways may read what another program prints. If output is shown,
  it is compared with the real one, except for numbers, spaces and the number of equal lines. A line
  `…` is any lines, and a line `^C` presses Ctrl-C. A training whose output is not shown writes no
  report, which would take longer than all else.
- ```c with a `main` is the file program.c of a later command.
- ```json and ```toml are parsed.
- ```text and the directives of Sphinx are not executed.

A comment `<!-- skip: next "reason" -->` before a block skips it.
"""

import itertools
import json
import re
import shlex
import shutil
import subprocess
import time
import tomllib
import warnings
from pathlib import Path
from unittest import SkipTest

from commands import BRIEF_BENCH, invoke, run_command, start_command
from page_examples import console_commands
from short_training import interrupt
from sybil.evaluators.python import PythonEvaluator
from sybil.region import Lexeme

PROGRAMS = ("cc", "curl", "openssl", "tail")
PIPE = " | bothways "
ADDRESS = "127.0.0.1:8000"


class Executor:
    """Executes the blocks of one page in the current folder.

    Parameters
    ----------
    monkeypatch : pytest.MonkeyPatch
    """

    def __init__(self, monkeypatch):
        self.monkeypatch = monkeypatch
        self.server = None
        self.address = ADDRESS  # of the server, if there is one
        self.evaluators = {
            "python": self.python,
            "console": self.console,
            "c": self.c,
            "json": parsed_by(json.loads),
            "toml": parsed_by(tomllib.loads),
        }

    def python(self, example):
        source = example.parsed.replace(ADDRESS, self.address)
        example.parsed = Lexeme(source, example.parsed.offset, example.parsed.line_offset)
        PythonEvaluator()(example)

    def c(self, example):
        assert " main(" in example.parsed, "only whole programs are executed"
        Path("program.c").write_text(example.parsed)

    def console(self, example):
        for command in console_commands(example.parsed):
            printed = self.output_of(command)
            if command.output and not matches(command.output, printed):
                return "\n".join([f"$ {command.text}", "shown:", *command.output, "is:", printed])
        return None

    def output_of(self, command):
        if PIPE in command.text:
            source, _, rest = command.text.partition(PIPE)
            stdin = self.run_in_shell(source.split()[0], source.replace("tail -f", "tail -n +1"))
            Path("piped.txt").write_text(stdin)
            arguments = shlex.split(rest, comments=True)
            result = run_command(*arguments, before="sys.stdin = open('piped.txt')")
            assert result.returncode == 0, result.stderr
            return result.stdout
        program, *arguments = command.words
        if program != "bothways":
            return self.run_in_shell(program, command.text)
        if arguments[0] == "serve":
            return self.serve(*arguments[1:])
        if arguments[0] == "bench" and "--warm" not in arguments:
            brief = ["--rounds", "1", "--time", "2", "--hidden", "4"]
            result = run_command(*arguments, *brief, before=BRIEF_BENCH)
            assert result.returncode == 0, result.stderr
            return result.stdout
        if arguments[0] == "train" and not command.output:
            arguments.insert(1, "--no-report")
        return self.bothways(arguments, is_interrupted="^C" in command.output)

    def bothways(self, arguments, *, is_interrupted=False):
        with self.monkeypatch.context() as patch, warnings.catch_warnings():
            warnings.simplefilter("default")  # the command prints them
            if is_interrupted:
                interrupt(patch.setattr)
            result = invoke(*arguments)
        assert result.exit_code == (130 if is_interrupted else 0), f"{arguments}: {result.output}"
        return result.output

    def serve(self, *arguments):
        """Start a server on a free port; the rest of the page uses it instead of port 8000."""
        self.stop()
        log = Path("server.log")
        log.unlink(missing_ok=True)  # of an earlier server
        self.server = start_command("serve", *arguments, "--port", 0, output=log, folder=".")
        while not (ready := re.search(r"ready: http://[\w.]+(:\d+)", printed := text_of(log))):
            assert self.server.is_alive(), printed
            time.sleep(0.01)
        self.address = f"127.0.0.1{ready[1]}"
        return printed

    def stop(self):
        if self.server is not None:
            self.server.terminate()
            self.server.join()
            assert self.server.exitcode == 0, "the server did not stop as it should"

    def run_in_shell(self, program, text):
        assert program in PROGRAMS, f"{program} is not executed; add a skip with the reason"
        if shutil.which(program) is None:
            raise SkipTest(f"{program} is not installed")
        command = ["bash", "-c", text.replace(ADDRESS, self.address)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def parsed_by(load):
    """Return an evaluator that only parses a block."""

    def evaluate(example):
        load(example.parsed)

    return evaluate


def text_of(path):
    return path.read_text() if path.exists() else ""


def matches(shown, printed):
    """Return whether the lines of a page are what was printed, except for numbers and spaces."""
    pattern = "".join(
        r"(.*\n)*?" if line == "…" else re.escape(line).replace("…", ".*") + r"\n"
        for line in masked(line for line in shown if line != "^C")
    )
    actual = "".join(f"{line}\n" for line in masked(printed.splitlines()))
    return re.fullmatch(pattern, actual) is not None


def masked(lines):
    """Return lines without spaces and rules, with 0 for each number, and without repetitions."""
    numberless = (re.sub(r"\d+([.,]\d+)*(e-?\d+)?", "0", line) for line in lines)
    plain = (re.sub(r"[\s─]", "", line) for line in numberless)
    return [line for line, _ in itertools.groupby(filter(None, plain))]
