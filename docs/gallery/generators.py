"""Four kinds of synthetic sequences in which the label of a time step depends on what follows.

None of them is a recording. Each imitates one property of real data that makes both directions
useful. A generator returns the sequences and their labels of time steps.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Example = tuple[np.ndarray, np.ndarray]
"""A sequence, float32 (time, features), and its labels, int64 (time,)."""


@dataclass(frozen=True)
class Domain:
    """A kind of sequences.

    Parameters
    ----------
    name : str
    generate : callable
        Draws one `Example`.
    features, classes : tuple of str
    ambiguous : tuple of str
        Classes that cannot be told apart before they end.
    events : tuple of str
        Categories of the only feature; default: numeric features.
    """

    name: str
    generate: Callable[[np.random.Generator], Example]
    features: tuple[str, ...]
    classes: tuple[str, ...]
    ambiguous: tuple[str, ...]
    events: tuple[str, ...] = ()


def speech(random: np.random.Generator) -> Example:
    """Draw three formants of a chain of syllables, in frames of 10 ms.

    Long and short vowels have the same formants and differ by their duration only. In addition, all
    formants move towards the next sound before they reach it (co-articulation).
    """
    targets = {  # hertz
        "pause": (500, 1500, 2500),
        "m": (250, 1100, 2200),
        "s": (1800, 3000, 4200),
        "a": (750, 1250, 2500),
        "a:": (750, 1250, 2500),
        "i": (300, 2250, 3000),
        "i:": (300, 2250, 3000),
    }
    names = list(targets)
    sounds = ["pause"]
    for _ in range(random.integers(5, 9)):
        sounds += [str(random.choice(["m", "s"])), str(random.choice(["a", "a:", "i", "i:"]))]
    sounds.append("pause")
    frames = [
        random.integers(18, 26) if sound.endswith(":") else random.integers(7, 12)
        for sound in sounds
    ]
    labels = np.repeat([names.index(sound) for sound in sounds], frames)
    track = np.array([targets[names[label]] for label in labels], float)
    smooth = np.hanning(9) / np.hanning(9).sum()
    padded = np.pad(track, ((4, 4), (0, 0)), mode="edge")
    track = np.stack([np.convolve(column, smooth, "valid") for column in padded.T], axis=1)
    track *= random.normal(1, 0.05) + random.normal(0, 0.03, track.shape)
    return (track / 1000).astype(np.float32), labels


def handwriting(random: np.random.Generator) -> Example:
    """Draw the pen of a word of letters that begin alike: a, d, g and q start with the same bowl.

    The features are the movements of the pen, in x and in y. The label of a step is its letter.
    """
    turn = np.linspace(0.25, 2.25, 14) * np.pi
    bowl = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    x = np.linspace(0, 1, 10)[:, None]
    ends = {
        "a": np.hstack([1 + 0.3 * x**2, 1 - 2 * x]),
        "d": np.vstack([np.hstack([1 + 0 * x, 1 + 2 * x]), np.hstack([1 + 0.3 * x, 3 - 4 * x])]),
        "g": np.vstack(
            [np.hstack([1 + 0 * x, 1 - 4 * x]), np.hstack([1 - 1.6 * x, -3 - 0.8 * np.sin(3 * x)])]
        ),
        "q": np.vstack([np.hstack([1 + 0 * x, 1 - 4 * x]), np.hstack([1 + 0.8 * x, -3 + 1.2 * x])]),
    }
    letters = random.choice(list(ends), random.integers(3, 7))
    pieces, labels, place = [], [], 0.0
    for letter in letters:
        outline = np.vstack([bowl, ends[letter]])
        size, slant = random.normal(1, 0.1), random.normal(0.2, 0.1)
        outline = outline * size @ np.array([[1, 0], [slant, 1]]) + [place, 0]
        pieces.append(outline)
        labels += [list(ends).index(letter)] * len(outline)
        place += 3.2
    path = np.vstack(pieces)
    moves = np.diff(path, axis=0, prepend=path[:1]) + random.normal(0, 0.06, path.shape)
    return moves.astype(np.float32), np.array(labels)


def sensor(random: np.random.Generator) -> Example:
    """Draw the acceleration of a belt sensor, at 25 Hz: walking, stumbling, falling, lying.

    A stumble and the beginning of a fall are the same jolt. After a stumble, the person walks on;
    after a fall, the person lies.
    """
    classes = ["walk", "stumble", "fall", "lie"]
    vertical, sideways, labels = [], [], []
    phase = random.uniform(0, 2 * np.pi)

    def add(name: str, up: np.ndarray, side: np.ndarray) -> None:
        vertical.append(up)
        sideways.append(side)
        labels.extend([classes.index(name)] * len(up))

    for _ in range(random.integers(3, 6)):
        steps = np.arange(random.integers(40, 90)) / 25
        stride = 2 * np.pi * 1.8 * steps + phase
        add("walk", 1 + 0.3 * np.sin(stride), 0.15 * np.sin(stride / 2))
        jolt = np.arange(20) / 20
        falls = random.random() < 0.5
        shake = 1 - 0.8 * np.sin(np.pi * jolt) + 0.5 * np.sin(6 * np.pi * jolt)
        add("fall" if falls else "stumble", shake, 0.6 * np.sin(2 * np.pi * jolt))
        if falls:
            rest = random.integers(30, 60)
            add("lie", np.full(rest, 0.1), np.full(rest, 0.95))
    signal = np.stack([np.concatenate(vertical), np.concatenate(sideways)], axis=1)
    signal += random.normal(0, 0.1, signal.shape)
    return signal.astype(np.float32), np.array(labels)


EVENTS = ("search", "view", "add", "remove", "pay", "leave")


def events(random: np.random.Generator) -> Example:
    """Draw the log of a shop: each event belongs to a purchase or to a visit without one.

    The events before the end of a visit are the same in both cases; only the end tells.
    """
    log, labels = [], []
    for _ in range(random.integers(2, 6)):
        visit = list(random.choice(["search", "view", "add", "remove"], random.integers(4, 12)))
        buys = random.random() < 0.5
        visit.append("pay" if buys else "leave")
        log += [EVENTS.index(event) + 1 for event in visit]  # 0 is the unknown category
        labels += [int(buys)] * len(visit)
    return np.array(log, np.float32)[:, None], np.array(labels)


DOMAINS = (
    Domain(
        "speech",
        speech,
        ("F1", "F2", "F3"),
        ("pause", "m", "s", "a", "a:", "i", "i:"),
        ("a", "a:", "i", "i:"),
    ),
    Domain("handwriting", handwriting, ("dx", "dy"), ("a", "d", "g", "q"), ("a", "d", "g", "q")),
    Domain(
        "sensor",
        sensor,
        ("vertical", "sideways"),
        ("walk", "stumble", "fall", "lie"),
        ("stumble", "fall"),
    ),
    Domain("events", events, ("event",), ("visit", "purchase"), ("visit", "purchase"), EVENTS),
)
