"""The JSON form of a playback, which `playback.js` draws."""

from typing import Any

import numpy as np
import torch

from bothways.data.record import numbered_features
from bothways.data.sequences import Sequences
from bothways.evaluation.playback import Playback, play
from bothways.models.manifest import Manifest
from bothways.models.trained_model import TrainedModel
from bothways.pages.looks import looks_like_picture

Array = np.ndarray[Any, np.dtype[Any]]

SHOWN_CLASSES = 10
SHOWN_FEATURES = 6
SHOWN_POINTS = 600
"""Longer sequences are drawn with fewer points; the answers are not affected."""


def playback_json(
    model: TrainedModel, steps: Array, *, name: str = "", label: Any = None
) -> dict[str, Any]:
    """Run a model on the beginnings and the ends of a sequence, and return all that is drawn.

    Parameters
    ----------
    model : TrainedModel
    steps : float32 array (time, input_size)
    name : str
        Shown above the playback.
    label : int or integer array (time,), optional
        The true class number, or those of the time steps, if known.

    Returns
    -------
    dict
        See the comment at the top of `playback.js`.
    """
    played = play(model.classifier, torch.from_numpy(steps))
    shown = _shown_classes(played, label)
    truth = None if label is None else np.asarray(label)
    whole = _at_answers(played.whole, played)
    values: dict[str, Any] = {
        "name": name,
        "steps": len(steps),
        "target": model.manifest.model.target,
        "classes": [model.classes[n] for n in shown],
        "others": len(model.classes) - len(shown),
        "counts": played.counts.tolist(),
        "forward": _rounded(played.forward[:, shown]),
        "backward": _rounded(played.backward[:, shown]),
        "whole": _rounded(whole[..., shown]),
        "best": {
            "forward": _places(played.forward, shown),
            "backward": _places(played.backward, shown),
            "whole": _places(np.atleast_2d(whole), shown),
        },
        "drawing": drawing_json(model.manifest, steps),
    }
    if values["target"] == "sequence":
        values |= {
            "settled": [played.forward_settled, played.backward_settled],
            "answer": model.classes[int(played.whole.argmax())],
            "truth": None if truth is None else model.classes[int(truth)],
        }
    elif truth is not None:
        known = truth[played.counts - 1]
        places = {int(n): place for place, n in enumerate(shown)}
        values["truth"] = [places.get(int(n), -1) for n in known]
    if played.forward_parts is not None and played.backward_parts is not None:
        values["parts"] = {
            "forward": _rounded(played.forward_parts[..., shown], 2),
            "backward": _rounded(played.backward_parts[..., shown], 2),
        }
    return values


def drawing_json(manifest: Manifest, steps: Array) -> dict[str, Any]:
    """Return what a page draws of a sequence: a picture, or lines of its first features."""
    time, size = steps.shape
    if looks_like_picture(manifest, time):
        levels = (255 * np.clip(steps, 0, 1)).round().astype(int)
        return {"kind": "picture", "width": size, "height": time, "levels": levels.ravel().tolist()}
    numeric = manifest.model.numeric_features[:SHOWN_FEATURES]
    names = manifest.preprocessing.features or numbered_features(size)
    at = np.unique(np.linspace(0, time - 1, min(time, SHOWN_POINTS)).round().astype(int))
    return {
        "kind": "lines",
        "at": at.tolist(),
        "lines": [
            {"name": names[n], "values": [_number(value) for value in steps[at, n]]}
            for n in numeric
        ],
        "others": size - len(numeric),
    }


def sequence_steps(sequences: Sequences, index: int) -> Array:
    """Return the steps of one sequence, float32 array (time, input_size)."""
    start, length = int(sequences.starts[index]), int(sequences.lengths[index])
    steps: Array = sequences.steps[start : start + length].numpy()
    return steps


def _at_answers(whole: Array, played: Playback) -> Array:
    """Return the answers of the whole sequence, of time steps where `forward` has them."""
    return whole if whole.ndim == 1 else whole[played.counts - 1]


def _shown_classes(played: Playback, label: Any) -> Array:
    """Return the numbers of the classes to show, in order.

    The true classes and the answers to the whole come first, then those that are an answer at some
    time, then those with the highest probabilities.
    """
    whole = np.atleast_2d(played.whole)
    rows = np.concatenate([played.forward, played.backward, whole])
    peaks = rows.max(axis=0)
    peaks[np.unique(rows.argmax(axis=1))] += 1
    peaks[np.unique(whole.argmax(axis=1))] += 2
    if label is not None:
        true = np.asarray(label)
        peaks[np.unique(true[true >= 0])] += 4
    return np.sort(np.argsort(-peaks, kind="stable")[:SHOWN_CLASSES])


def _places(probabilities: Array, shown: Array) -> list[int]:
    """Return the place of the most probable class of each row in `shown`, or -1."""
    places = np.full(probabilities.shape[1], -1)
    places[shown] = np.arange(len(shown))
    found: list[int] = places[probabilities.argmax(axis=1)].tolist()
    return found


def _rounded(values: Array, digits: int = 3) -> list[Any]:
    rounded: list[Any] = (np.round(values, digits) + 0.0).tolist()
    return rounded


def _number(value: float) -> float | None:
    """Return a value with 4 significant digits; None for a missing one."""
    return None if np.isnan(value) else float(f"{value:.4g}")
