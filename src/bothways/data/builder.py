"""From a stream of records to a data set: classes, windows, and honest splits."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import torch

from bothways.data.batching import IGNORED
from bothways.data.dataset import Dataset, with_trained_vocabularies
from bothways.data.offsets import find_offsets, subtract_offsets, unresolved_features
from bothways.data.options import DataOptions
from bothways.data.record import PARTS, Array, Part, Record, Source
from bothways.data.sequences import LabeledSequences
from bothways.data.splitting import with_test_part
from bothways.errors import DataError
from bothways.storage.mapped_steps import StepWriter

_SAMPLE_VALUES = 1 << 18  # read before it is decided what to subtract from features


class _Collected:
    """Records of one part, side by side."""

    def __init__(self, options: DataOptions) -> None:
        self._options = options
        self._codes: dict[str, int] = {}  # of labels, in the order in which they come
        self._labels: list[Array] = []  # codes; of a sequence (1,), of its steps (time,)
        self.values = StepWriter()
        self.names: list[str] = []  # where the file names its sequences
        self.groups: list[str] = []
        self.recordings: list[int] = []
        self.begins: list[float] = []
        self.unlabelled = 0

    def __len__(self) -> int:
        return len(self.groups)

    @property
    def classes(self) -> list[str]:
        """All classes that occur."""
        return [label for label in self._codes if not self._is_ignored(label)]

    def add(self, record: Record, place: str) -> None:
        """Take a record over; `place` is for messages."""
        if self._options.target == "step":
            if record.step_labels is None:
                raise DataError(
                    f"{place} has one class for all its steps; expected one for each with "
                    "--target step. Leave it out, or label the steps."
                )
            names, which = np.unique(record.step_labels, return_inverse=True)
            if all(map(self._is_ignored, names)):
                self.unlabelled += 1
                return
            self._labels.append(np.array([self._code(name) for name in names], np.int32)[which])
        elif record.label is None:
            raise DataError(f"{place} has no class; expected one for each sequence. Label it.")
        else:
            self._labels.append(np.array([self._code(record.label)], np.int32))
        self.values.append(record.values)
        assert record.group is not None  # checked_records gives each its own
        self.groups.append(record.group)
        self.recordings.append(record.recording)
        if record.named:
            self.names.append(record.name)
        if record.times is not None:
            self.begins.append(float(np.asarray(record.times[:1]).astype("float64")[0]))

    def _code(self, label: str) -> int:
        return self._codes.setdefault(label, len(self._codes))

    def _is_ignored(self, label: str) -> bool:
        return self._options.target == "step" and label in ("", self._options.ignore)

    def sequences(self, classes: Sequence[str], groups: dict[str, int] | None) -> LabeledSequences:
        """Return them with numbered labels and groups."""
        number = {name: n for n, name in enumerate(classes)}
        numbers = np.array([number.get(label, IGNORED) for label in self._codes], np.int32)
        labels = torch.from_numpy(numbers[np.concatenate(self._labels)])
        steps, in_file = self.values.finish()
        lengths = torch.tensor(self.values.lengths)
        return LabeledSequences(
            steps,
            starts=lengths.cumsum(0) - lengths,
            lengths=lengths,
            labels=labels.long() if self._options.target == "sequence" else labels,
            target=self._options.target,
            groups=None if groups is None else torch.tensor([groups[g] for g in self.groups]),
            recordings=torch.tensor(self.recordings) if self._options.window else None,
            in_file=in_file,
        )


def _limit(parts: Collection[_Collected], options: DataOptions) -> None:
    """Move the steps to files if together they take more memory than they may."""
    if sum(part.values.held_bytes for part in parts) > options.memory_mb << 20:
        for part in parts:
            part.values.spill()


def collect(
    name: str,
    path: Path,
    source: Source,
    options: DataOptions,
    others: Mapping[Part, Path],
    open_other: Callable[[Path, DataOptions], Source],
    classes: tuple[str, ...] | None = None,
    *,
    missing: bool = True,
) -> Dataset:
    """Read a source to its end, and split it.

    Parameters
    ----------
    name : str
        Of the data set.
    path : Path
        For messages.
    source : Source
        The sequences to train on, and more where its records or `options` say so.
    options : DataOptions
    others : dict
        Validation and test data that are in files of their own, which `open_other` opens.
    classes : tuple of str, optional
        The only ones that may occur, in this order; where not given, those that do.
    missing : bool
        Whether values may be missing.

    Raises
    ------
    DataError
        If a sequence does not fit the others, there are too few classes, or a sequence's name or
        group stands on both sides of a split.
    """
    parts: dict[Part, _Collected] = {part: _Collected(options) for part in PARTS}
    for record in checked_records(path, source, options, missing=missing):
        parts[record.part or "train"].add(record, f"{path}, {record.place}")
        _limit(parts.values(), options)
    vocabularies = {feature: own.tokens for feature, own in source.vocabularies.items()}
    offsets = tuple(source.offsets)
    reading = options.model_copy(update={"vocabularies": vocabularies, "offsets": offsets})
    if source.has_columns:  # whether a column counts rows is decided once
        reading = reading.model_copy(update={"features": source.features})
    for part, other_path in others.items():
        other = open_other(other_path, reading)
        _check_other(path, source, other_path, other, part, parts[part])
        for record in checked_records(other_path, other, reading, missing=missing):
            parts[part].add(record, f"{other_path}, {record.place}")
            _limit(parts.values(), options)
        if not len(parts[part]):
            raise DataError(f"{other_path} holds no labelled sequence; expected some. Label them.")
    if not len(parts["train"]):
        raise DataError(
            f"{path} holds no labelled sequence, or none to train on; expected some. Check its "
            "labels and splits."
        )
    _refuse_shared(path, "sequence", {part: some.names for part, some in parts.items()})
    _refuse_shared(path, "group", {part: some.groups for part, some in parts.items()})
    names = classes or source.classes or _in_order(parts.values())
    if len(names) > options.max_classes:
        raise DataError(
            f"{path} has {len(names):,} classes, {', '.join(names[:3])}, …; expected 2 to "
            f"{options.max_classes:,}. If the label is not a number or a name, add --max-classes "
            f"{len(names)}."
        )
    made = _numbered(path, parts, names)
    notes = list(source.notes)
    if unlabelled := sum(part.unlabelled for part in parts.values()):
        notes.append(f"left out, for no step of them has a label: {unlabelled:,} sequences")
    train = made["train"]
    if options.by_time:
        train = train.subset(_order_of_time(path, parts["train"]))
    dataset = Dataset(
        name=name,
        train=train,
        test=made.get("test"),
        classes=names,
        validation=made.get("validation"),
        features=source.features if source.has_columns else (),
        vocabularies=vocabularies,
        offsets=offsets,
        in_time_order=options.by_time,
        notes=tuple(notes),
    )
    dataset = with_test_part(dataset, options.test_fraction, options.split_seed)
    counts = dataset.train.label_counts(len(names)).tolist()
    if strange := [name for name, count in zip(names, counts, strict=True) if not count]:
        note = f"no training {options.target} has the class {', '.join(strange)}"
        dataset = replace(dataset, notes=(*dataset.notes, note))
    return dataset if options.vocabularies else with_trained_vocabularies(dataset)


def _check_other(
    path: Path, source: Source, other_path: Path, other: Source, part: Part, there: _Collected
) -> None:
    """Refuse a part's own file if it does not fit the main one."""
    if len(there):
        raise DataError(
            f"{path} holds {part} sequences but --{part} names {other_path}; expected one of "
            f"the two. Leave --{part} out."
        )
    if other.features != source.features:
        raise DataError(
            f"{other_path} has features {', '.join(other.features)}; expected those of {path}, "
            f"{', '.join(source.features)}."
        )


def _numbered(
    path: Path, parts: Mapping[Part, _Collected], names: tuple[str, ...]
) -> dict[Part, LabeledSequences]:
    """Return the parts that hold something, with class numbers, and groups if any repeats."""
    unknown = [n for part in parts.values() for n in part.classes if n not in names]
    if unknown:
        raise DataError(
            f"{path} has a class {unknown[0]!r}; expected one of {', '.join(names)}. "
            "Map it to one of them, or leave it out."
        )
    every = [group for part in parts.values() for group in part.groups]
    numbers = {group: n for n, group in enumerate(dict.fromkeys(every))}
    groups = numbers if len(numbers) < len(every) else None
    return {part: some.sequences(names, groups) for part, some in parts.items() if len(some)}


def _order_of_time(path: Path, part: _Collected) -> torch.Tensor:
    if len(part.begins) < len(part):
        raise DataError(
            f"{path} has no times; expected them for a split by time. Name the column with --time."
        )
    return torch.tensor(np.argsort(part.begins, kind="stable"))


def checked_records(
    path: Path, source: Source, options: DataOptions, *, missing: bool = True
) -> Iterator[Record]:
    """Yield the validated records of a source, with float32 values, cut into windows if asked.

    A record without a group becomes a group of its own, which its windows share. Infinite values,
    and without `missing` NaN too, raise an error. Large constants are subtracted from features:
    those in `options.offsets`, or else those found in the first records, which are then in
    `source.offsets`.
    """
    records: Iterator[Record]
    records = (_checked(path, source, record, missing=missing) for record in source.records)
    reduced = bool(source.offsets)  # by a reader of whole arrays
    source.offsets[:] = source.offsets or options.offsets or ()
    if options.offsets is None and not reduced:
        sample, size = [], 0
        for record in records:
            sample.append(record)
            size += record.values.size
            if size > _SAMPLE_VALUES:
                break
        if sample:
            values = np.concatenate([record.values for record in sample])
            categorical = [name in source.vocabularies for name in source.features]
            values = np.where(categorical, 0.0, values).astype(values.dtype, copy=False)
            source.offsets[:] = find_offsets(values)
            if lossy := unresolved_features(values, tuple(source.offsets)):
                names = ", ".join(source.features[n] for n in lossy)
                source.notes.append(
                    f"most changes of {names} are lost in float32, which keeps 7 digits; subtract "
                    "a constant from each sequence beforehand"
                )
        records = chain(sample, records)
    for number, record in enumerate(records):
        values = subtract_offsets(record.values, () if reduced else tuple(source.offsets))
        group = record.group
        if group is None:
            group = record.name if record.named else f"{path}:{record.name}"
        yield from _windows(replace(record, values=values, group=group, recording=number), options)


def _checked(path: Path, source: Source, record: Record, *, missing: bool) -> Record:
    place = f"{path}, {record.place}"
    values = record.values
    if values.shape[1] != len(source.features):
        raise DataError(
            f"{place} has {values.shape[1]} features; expected {len(source.features)}, as in the "
            "first sequence. Fix or remove the sequence."
        )
    with np.errstate(over="ignore"):  # beyond float32 is infinite
        found = values.astype(np.float32, copy=False)
    bad = np.isinf(found) if missing else ~np.isfinite(found)
    if bad.any():
        step, feature = (int(n) for n in np.argwhere(bad)[0])
        what = "missing" if np.isnan(values[step, feature]) else "infinite"
        advice = ", or set missing=mean" if what == "missing" else ""
        raise DataError(
            f"{place}: {source.features[feature]!r} is {what} at step {step}; expected finite "
            f"numbers. Fix or remove the sequence{advice}."
        )
    return record


def _windows(record: Record, options: DataOptions) -> Iterator[Record]:
    """Cut a record into windows; steps after the last whole window are left out."""
    if options.window is None:
        yield record
        return
    steps, stride = len(record.values), options.stride or options.window
    if steps < options.window:
        yield record
    for start in range(0, steps - options.window + 1, stride):
        yield record.cut(start, start + options.window)


def _refuse_shared(path: Path, what: str, names: Mapping[Part, list[str]]) -> None:
    """Refuse a sequence's name or a group that stands on both sides of a split."""
    seen: dict[str, Part] = {}
    for part, own in names.items():
        for name in dict.fromkeys(own):
            if name in seen:
                raise DataError(
                    f"{path}: {what} {name!r} is in {seen[name]} and in {part}; expected it on one "
                    "side only, or the figures are too good to be true. Split again."
                )
            seen[name] = part


def _in_order(parts: Iterable[_Collected]) -> tuple[str, ...]:
    """Return the classes that occur: numbers by size, texts by the alphabet."""
    found = {label for part in parts for label in part.classes}
    try:
        return tuple(sorted(found, key=lambda label: (0, float(label), label)))
    except ValueError:
        return tuple(sorted(found))
