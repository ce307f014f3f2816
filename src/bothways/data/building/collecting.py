"""Collect the records of a source in parts, and make a dataset of them: classes and splits."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch

from bothways.data.batching import IGNORED
from bothways.data.building.checking import checked_records
from bothways.data.dataset import Dataset, with_trained_vocabularies
from bothways.data.options import DataOptions
from bothways.data.record import PARTS, Array, Part, Record, Source
from bothways.data.sequences import LabeledSequences
from bothways.data.splitting import with_test_part
from bothways.errors import DataError, suggest
from bothways.storage.mapped_steps import StepWriter


class _Collected:
    """Collects the records of one part."""

    def __init__(self, options: DataOptions) -> None:
        self._options = options
        self._codes: dict[str, int] = {}  # of labels, in order of appearance
        self._labels: list[Array] = []  # codes: (1,) for a sequence, (time,) for its steps
        self.values = StepWriter()
        self.names: list[str] = []  # of the sequences, if the file has names
        self.groups: list[str] = []
        self.recordings: list[int] = []
        self.begins: list[float] = []
        self.unlabeled = 0

    def __len__(self) -> int:
        return len(self.groups)

    @property
    def classes(self) -> list[str]:
        """The classes that occur."""
        return [label for label in self._codes if not self._is_ignored(label)]

    def add(self, record: Record, place: str) -> None:
        """Add a record; `place` is for messages."""
        if self._options.target == "step":
            if record.step_labels is None:
                raise DataError(
                    f"{place} has one class for all its steps; expected one for each with "
                    "--target step. Omit --target, or label the steps."
                )
            names, which = np.unique(record.step_labels, return_inverse=True)
            if all(map(self._is_ignored, names)):
                self.unlabeled += 1
                return
            self._labels.append(np.array([self._code(name) for name in names], np.int32)[which])
        elif record.label is None:
            raise DataError(f"{place} has no class; expected one for each sequence. Add a label.")
        else:
            self._labels.append(np.array([self._code(record.label)], np.int32))
        self.values.append(record.values)
        assert record.group is not None  # checked_records sets it
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
        """Return the sequences with class numbers and group numbers."""
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
    """Move the steps to files if they exceed the memory limit."""
    if sum(part.values.held_bytes for part in parts) > options.memory_mb << 20:
        for part in parts:
            part.values.spill()


def collect(
    name: str,
    path: str,
    source: Source,
    options: DataOptions,
    others: Mapping[Part, str],
    open_other: Callable[[str, DataOptions], Source],
    classes: tuple[str, ...] | None = None,
    *,
    missing: bool = True,
) -> Dataset:
    """Read a source to its end, and return it as a dataset.

    Parameters
    ----------
    name : str
        Name of the dataset.
    path : str
        For messages.
    source : Source
        The training part, and other parts if its records have them.
    options : DataOptions
    others : dict
        The files with the validation and the test part; `open_other` opens them.
    classes : tuple of str, optional
        The only classes that may occur, in this order; default: those that occur.
    missing : bool
        Whether values may be missing.

    Raises
    ------
    DataError
        If a sequence does not fit the others, there are too few classes, or a sequence or a group
        is in two parts.
    """
    parts: dict[Part, _Collected] = {part: _Collected(options) for part in PARTS}
    for record in checked_records(path, source, options, missing=missing):
        parts[record.part or "train"].add(record, f"{path}, {record.place}")
        _limit(parts.values(), options)
    vocabularies = {feature: own.tokens for feature, own in source.vocabularies.items()}
    offsets = tuple(source.offsets)
    reading = options.model_copy(update={"vocabularies": vocabularies, "offsets": offsets})
    if source.has_columns:  # the training part decides which columns count rows
        reading = reading.model_copy(update={"features": source.features})
    for part, other_path in others.items():
        other = open_other(other_path, reading)
        _check_other(path, source, other_path, other, part, parts[part])
        for record in checked_records(other_path, other, reading, missing=missing):
            parts[part].add(record, f"{other_path}, {record.place}")
            _limit(parts.values(), options)
        if not len(parts[part]):
            raise DataError(
                f"{other_path} has no labeled sequence; expected at least one. Add labels."
            )
    if not len(parts["train"]):
        raise DataError(
            f"{path} has no labeled training sequence; expected at least one. Check its labels and "
            "splits."
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
    if unlabeled := sum(part.unlabeled for part in parts.values()):
        notes.append(f"ignored sequences without any label: {unlabeled:,}")
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
    path: str, source: Source, other_path: str, other: Source, part: Part, there: _Collected
) -> None:
    """Raise DataError if the file of a part does not fit the main file."""
    if len(there):
        raise DataError(
            f"{path} has {part} sequences but --{part} names {other_path}; expected one of the "
            f"two. Omit --{part}."
        )
    if other.features != source.features:
        raise DataError(
            f"{other_path} has features {', '.join(other.features)}; expected those of {path}, "
            f"{', '.join(source.features)}. Rename its columns."
        )


def _numbered(
    path: str, parts: Mapping[Part, _Collected], names: tuple[str, ...]
) -> dict[Part, LabeledSequences]:
    """Return the parts that exist, with class numbers, and group numbers if a group repeats."""
    unknown = [n for part in parts.values() for n in part.classes if n not in names]
    if unknown:
        raise DataError(
            f"{path} has a class {unknown[0]!r}; {suggest(unknown[0], names, 'expected one of')} "
            f"{', '.join(names)}. Rename it, or remove the sequence."
        )
    every = [group for part in parts.values() for group in part.groups]
    numbers = {group: n for n, group in enumerate(dict.fromkeys(every))}
    groups = numbers if len(numbers) < len(every) else None
    return {part: some.sequences(names, groups) for part, some in parts.items() if len(some)}


def _order_of_time(path: str, part: _Collected) -> torch.Tensor:
    if len(part.begins) < len(part):
        raise DataError(
            f"{path} has no times; expected them for a split by time. Name the column with --time."
        )
    return torch.tensor(np.argsort(part.begins, kind="stable"))


def _refuse_shared(path: str, what: str, names: Mapping[Part, list[str]]) -> None:
    """Raise DataError if a sequence or a group is in two parts."""
    seen: dict[str, Part] = {}
    for part, own in names.items():
        for name in dict.fromkeys(own):
            if name in seen:
                raise DataError(
                    f"{path}: {what} {name!r} is in {seen[name]} and in {part}; expected it in one "
                    "part, otherwise the metrics are optimistic. Split again."
                )
            seen[name] = part


def _in_order(parts: Iterable[_Collected]) -> tuple[str, ...]:
    """Return the classes that occur: numbers in order, otherwise texts in alphabetical order."""
    found = {label for part in parts for label in part.classes}
    try:
        return tuple(sorted(found, key=lambda label: (0, float(label), label)))
    except ValueError:
        return tuple(sorted(found))
