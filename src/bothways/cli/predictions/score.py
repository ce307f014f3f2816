"""`predict` with many files: a Parquet file of predictions for each, in several processes."""

import sys
from pathlib import Path

from tqdm import tqdm

from bothways.errors import ConfigError, counted
from bothways.models.scoring import Scored, check_borders, plan_parts, score_in_processes
from bothways.models.trained import load

ENGINES = ("local", "ray")


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
    if engine not in ENGINES:
        raise ConfigError(
            f"--engine is {engine!r}; expected {' or '.join(ENGINES)}. Correct the value."
        )
    if str(out) == "-" or (out.exists() and not out.is_dir()):
        where = "is not given" if str(out) == "-" else f"{out} is a file"
        raise ConfigError(
            f"--out {where}, but --workers and --engine write a file for each input; expected a "
            "folder. Name a new one."
        )
    reading = load(model).manifest.preprocessing.reading
    parts = plan_parts(model, sources, out, reading.sequence)
    out.mkdir(parents=True, exist_ok=True)
    waiting = [part for part in parts if part.finished() is None]
    if len(waiting) < len(parts):
        print(f"{len(parts) - len(waiting)} of {len(parts)} files are done", file=sys.stderr)
    noted: set[str] = set()
    count = 0
    bar = tqdm(total=len(waiting), unit=" files", disable=None, leave=False)

    def report(scored: Scored) -> None:
        nonlocal count
        count += scored.info.sequences
        bar.update()
        bar.set_postfix_str(f"{count:,} sequences")
        for note in scored.notes:
            if note not in noted:
                noted.add(note)
                tqdm.write(note, file=sys.stderr)

    with bar:
        if engine == "ray":
            from bothways.on_ray import score_on_ray

            found = score_on_ray(model, waiting, workers, threads=threads, aggregate=aggregate)
        else:
            found = score_in_processes(
                model, waiting, workers, threads=threads, aggregate=aggregate
            )
        for scored in found:
            report(scored)
    check_borders(parts)
    print(f"{counted(count, 'prediction')} in {out}", file=sys.stderr)
