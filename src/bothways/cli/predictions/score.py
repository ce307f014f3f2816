"""`predict` with many files: a Parquet file of predictions for each, in several processes."""

import sys
from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path

from tqdm import tqdm

from bothways.cli.errors import print_problem
from bothways.errors import ConfigError, counted
from bothways.models.hub import pinned
from bothways.models.loading import load
from bothways.models.scoring import (
    Part,
    Scored,
    check_complete,
    finished_parts,
    plan_parts,
    score_in_processes,
)
from bothways.storage.atomic import remove_leftovers

ENGINES = ("local", "ray")
_SUFFIXES = (".csv", ".jsonl", ".parquet")  # of files


def score(
    model: str,
    sources: list[str],
    out: Path,
    *,
    engine: str,
    workers: int,
    threads: int,
    aggregate: bool,
) -> None:
    """Score the files that have no predictions in the folder `out`, and print what was done."""
    model = pinned(model)
    notes = _Notes()
    reading = load(model).manifest.preprocessing.reading
    parts = plan_parts(model, sources, out, notes.show, reading.sequence, aggregate=aggregate)
    out.mkdir(parents=True, exist_ok=True)
    remove_leftovers(out)
    infos = finished_parts(parts, out)
    waiting = [part for part in parts if part.out not in infos]
    if infos:
        notes.show(f"{len(infos):,} of {counted(len(parts), 'file')} are done")
    changed = [str(part.location) for part in waiting if part.out.exists()]
    if changed:
        more = ", …" if len(changed) > 1 else ""
        notes.show(
            f"{counted(len(changed), 'file')} changed since the prediction, predicted again: "
            f"{changed[0]}{more}"
        )
    new = 0
    bar = tqdm(total=len(waiting), unit=" files", disable=None, leave=False)
    try:
        with bar, closing(_scored(engine, model, waiting, workers, threads)) as found:
            for one in found:
                bar.update()
                for note in one.notes:
                    notes.show(note)
                if one.info is None:
                    with tqdm.external_write_mode(sys.stderr):
                        print_problem(one.problem)
                    continue
                infos[one.part.out] = one.info
                new += one.info.sequences
                bar.set_postfix_str(f"{new:,} sequences")
    finally:
        remove_leftovers(out)  # of processes that had to end
    count = sum(info.sequences for info in infos.values())
    files = f"{counted(len(infos), 'file')} of {out}"
    print(f"{counted(count, 'prediction')} in {files}, {new:,} of them new", file=sys.stderr)
    check_complete(parts, infos)


def check_many(out: Path, *, engine: str, format: str | None, device: str, force: bool) -> None:
    """Raise ConfigError if an argument has no meaning for many files."""
    if engine not in ENGINES:
        raise ConfigError(
            f"--engine is {engine!r}; expected {' or '.join(ENGINES)}. Correct the value."
        )
    contradictions = {
        f"--format {format}": format is not None,
        f"--device {device}": device not in ("auto", "cpu"),
        "--force": force,
    }
    for name, is_given in contradictions.items():
        if is_given:
            raise ConfigError(
                f"{name} was given, but --out is a folder of Parquet files, which are predicted on "
                "CPUs and never replaced; expected a file as --out. Omit one of them."
            )
    problems = {
        "is not given": str(out) == "-",
        f"{out} is a file": out.exists() and not out.is_dir(),
        f"{out} ends in {out.suffix}": not out.is_dir() and out.suffix.lower() in _SUFFIXES,
    }
    for problem, is_so in problems.items():
        if is_so:
            raise ConfigError(
                f"--out {problem}, but --workers and --engine write a file for each input; "
                "expected a folder. Name a new one."
            )


def _scored(
    engine: str, model: str, parts: Sequence[Part], workers: int, threads: int
) -> Generator[Scored]:
    if engine == "ray":
        from bothways.on_ray import score_on_ray

        return score_on_ray(model, parts, workers, threads=threads)
    return score_in_processes(model, parts, workers, threads=threads)


class _Notes:
    """Prints each note once."""

    def __init__(self) -> None:
        self._shown: set[str] = set()

    def show(self, note: str) -> None:
        """Print a note that was not printed before, above the bar."""
        if note not in self._shown:
            self._shown.add(note)
            tqdm.write(note, file=sys.stderr)
