"""Predictions for many files, in several processes: one Parquet file of predictions for each file.

A part is a file of sequences and the file of its predictions. Parts do not depend on one another,
so they can be scored in any order, and scoring can be interrupted: finished parts are kept.
"""

from bothways.models.scoring.parts import Part, finished_parts, plan_parts
from bothways.models.scoring.score import Scored, check_complete, score_part
from bothways.models.scoring.workers import score_in_processes

__all__ = [
    "Part",
    "Scored",
    "check_complete",
    "finished_parts",
    "plan_parts",
    "score_in_processes",
    "score_part",
]
