"""Small valid files of every format that bothways reads, and how each is read."""

import bz2
import gzip
import io
import json
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

import numpy as np

from bothways import DataOptions, load, open_dataset, resume, train
from bothways.config import Target
from bothways.data.readers.locations import locate
from bothways.data.sequences import LabeledSequences
from bothways.errors import TrainingInterrupted
from bothways.export import export_onnx
from bothways.models.pieces import read_pieces
from bothways.report.record import read_record
from bothways.storage.atomic import sha256 as sha256_of
from bothways.storage.tensors import load_tensors, save_tensors
from bothways.training.run_directory import RunFolder
from damage import containers
from damage.bytes_and_text import BYTES, TEXT, Mutation

Reading = Callable[[Path], str]
"""Reads a file or folder, and returns a fingerprint of what was read."""

JSON_TEXT = (containers.json_value, *TEXT)


@dataclass(frozen=True)
class Sample:
    """A valid file.

    Parameters
    ----------
    name : str
        Of the kind of file.
    file : str
        Path of the file that is damaged, below the folder of the sample.
    readings : tuple of Reading
        All ways in which the file is read.
    target : str
        What is passed to the readings, below the folder of the sample; "" is the folder.
    mutations : tuple of Mutation
        Those that know the format.
    has_checksum : bool
        Whether any change of bytes must be noticed, or change nothing of what is read.
    has_size : bool
        Whether the file states its size, so that a truncated one must be refused.
    refers_to : str
        A name in errors about other files that the damaged one names.
    """

    name: str
    file: str
    readings: tuple[Reading, ...]
    target: str
    mutations: tuple[Mutation, ...] = field(default=(), repr=False)
    has_checksum: bool = False
    has_size: bool = False
    refers_to: str = ""


def write_samples(folder: Path) -> list[Sample]:
    """Write all samples, each into a folder of its name, and return them."""
    samples = []
    for make in (_tables, _arrays, _text_files, _models, _runs):
        for sample, contents in make(folder):
            for name, content in contents.items():
                path = folder / sample.name / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            samples.append(sample)
    return samples


Made = Iterator[tuple[Sample, dict[str, bytes]]]


def read_data(target: Target = "sequence", input_size: int = 2) -> tuple[Reading, ...]:
    """Return the readings of a data file: with its labels, and as new data."""

    def with_labels(path: Path) -> str:
        data = open_dataset(str(path), DataOptions(target=target))
        digest = sha256(repr((data.classes, data.features, data.vocabularies)).encode())
        for part in (data.train, data.validation, data.test):
            if part is not None:
                _check_plausible(part, len(data.classes))
                digest.update(part.fingerprint().encode())
        return digest.hexdigest()

    def without_labels(path: Path) -> str:
        digest = sha256()
        for piece in read_pieces(locate(str(path)), input_size, missing=True).pieces:
            for record in piece.records:
                digest.update(record.name.encode() + record.values.tobytes())
        return digest.hexdigest()

    return with_labels, without_labels


def _check_plausible(part: LabeledSequences, classes: int) -> None:
    """Raise ValueError if sequences do not hold what `LabeledSequences` promises."""
    steps, labels = part.steps, part.labels
    ends = part.starts + part.lengths
    if bool(steps.isinf().any()) or int(part.lengths.min()) < 1 or int(ends.max()) > len(steps):
        raise ValueError("infinite values, or sequences beyond the steps")
    if int(labels.max()) >= classes or int(labels.min()) < -1:
        raise ValueError("labels that are not classes")


def _recordings() -> list[tuple[np.ndarray, str]]:
    """Return twelve sequences (time, 2) with their classes."""
    rng = np.random.default_rng(0)
    return [
        (rng.normal(n % 2, 1, (rng.integers(3, 7), 2)).round(3), ("circle", "wave")[n % 2])
        for n in range(12)
    ]


def _tables(folder: Path) -> Made:
    import pyarrow as pa
    import pyarrow.csv as pa_csv
    import pyarrow.parquet as pq

    rows = [
        (f"r{n}", step, *map(float, values), label)
        for n, (recording, label) in enumerate(_recordings())
        for step, values in enumerate(recording)
    ]
    names = ("recording", "t", "ax", "ay", "label")
    table = pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))
    text, parquet, second = io.BytesIO(), io.BytesIO(), io.BytesIO()
    pa_csv.write_csv(table, text, pa_csv.WriteOptions(quoting_style="needed"))
    pq.write_table(table, parquet, row_group_size=20)
    others = pa.array([f"s{row[0]}" for row in rows])
    pq.write_table(table.set_column(0, "recording", others), second)
    lists = io.BytesIO()
    pq.write_table(
        pa.table(
            {
                "ax": [values[:, 0].tolist() for values, _ in _recordings()],
                "ay": [values[:, 1].tolist() for values, _ in _recordings()],
                "label": [label for _, label in _recordings()],
            }
        ),
        lists,
    )
    header = ",".join([*(f"x_{n}" for n in range(10)), *(f"y_{n}" for n in range(10)), "label"])
    wide = [header]
    for values, label in _recordings():
        steps = _padded(np.tile(values, (2, 1))[:10], 10)
        cells = ["" if np.isnan(value) else str(value) for value in steps.T.flat]
        wide.append(",".join([*cells, label]))
    csv = Sample("csv", "data.csv", read_data(), "data.csv", TEXT)
    yield csv, {"data.csv": text.getvalue()}
    step = replace(csv, name="csv-step-labels", readings=read_data("step"))
    yield step, {"data.csv": text.getvalue()}
    yield replace(csv, name="csv-wide"), {"data.csv": ("\n".join(wide) + "\n").encode()}
    files = {
        "data/part=a/1.csv": text.getvalue(),
        "data/part=b/2.csv": text.getvalue().replace(b'\n"r', b'\n"s'),
    }
    folder_of_csv = replace(csv, name="csv-folder", file="data/part=b/2.csv", target="data")
    yield folder_of_csv, files
    packed = Sample(
        "csv.gz",
        "data.csv.gz",
        read_data(),
        "data.csv.gz",
        (containers.inside("gz", TEXT),),
        has_checksum=True,
        has_size=True,
    )
    yield packed, {"data.csv.gz": gzip.compress(text.getvalue(), mtime=0)}
    parquets = Sample(
        "parquet",
        "data.parquet",
        read_data(),
        "data.parquet",
        (containers.parquet_table,),
        has_size=True,
    )
    yield parquets, {"data.parquet": parquet.getvalue()}
    yield replace(parquets, name="parquet-lists"), {"data.parquet": lists.getvalue()}
    two = replace(parquets, name="parquet-folder", file="data/b.parquet", target="data")
    yield two, {"data/a.parquet": parquet.getvalue(), "data/b.parquet": second.getvalue()}


def _padded(values: np.ndarray, steps: int) -> np.ndarray:
    return np.pad(values, ((0, steps - len(values)), (0, 0)), constant_values=np.nan)


def _arrays(folder: Path) -> Made:
    recordings = _recordings()
    lengths = np.array([len(values) for values, _ in recordings])
    labels = np.arange(12) % 2
    inputs = np.stack([np.nan_to_num(_padded(values, 6)) for values, _ in recordings])
    inputs = inputs.astype(np.float32)
    padded, flat = io.BytesIO(), io.BytesIO()
    np.savez_compressed(padded, inputs=inputs, lengths=lengths, labels=labels)
    values = np.concatenate([values for values, _ in recordings])
    names = np.array([label for _, label in recordings])
    offsets = np.cumsum([0, *lengths])
    np.savez(flat, values=values, offsets=offsets, labels=names, groups=np.arange(12) // 2)
    npz = Sample(
        "npz",
        "data.npz",
        read_data(),
        "data.npz",
        (containers.npz_member,),
        has_checksum=True,
        has_size=True,
    )
    yield npz, {"data.npz": padded.getvalue()}
    yield replace(npz, name="npz-flat"), {"data.npz": flat.getvalue()}
    arrays = {"data.npy": inputs, "data_labels.npy": labels, "data_lengths.npy": lengths}
    npy = {name: _npy(array) for name, array in arrays.items()}
    for name in npy:
        sample = Sample(
            f"npy-{name.removesuffix('.npy')}",
            name,
            read_data(),
            "data.npy",
            (containers.npy_header, containers.npy_zeros),
            has_size=True,
        )
        yield sample, npy
    images = struct.pack(">4B3I", 0, 0, 8, 3, 12, 6, 2) + (inputs * 20).astype(np.uint8).tobytes()
    numbers = struct.pack(">4BI", 0, 0, 8, 1, 12) + labels.astype(np.uint8).tobytes()
    idx = {"train-images-idx3-ubyte": images, "train-labels-idx1-ubyte": numbers}
    for name in idx:
        sample = Sample(
            f"idx-{name[6:12]}",
            name,
            read_data(),
            "train-images-idx3-ubyte",
            (containers.idx_header,),
            has_size=True,
        )
        yield sample, idx
    packed = Sample(
        "idx.gz",
        "train-images-idx3-ubyte",
        read_data(),
        "train-images-idx3-ubyte",
        (containers.inside("gz", (containers.idx_header, *BYTES)),),
        has_checksum=True,
        has_size=True,
    )
    yield packed, idx | {"train-images-idx3-ubyte": gzip.compress(images, mtime=0)}


def _npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def _text_files(folder: Path) -> Made:
    recordings = _recordings()
    columns = [[",".join(map(str, values[:, n])) for n in (0, 1)] for values, _ in recordings]
    labels = [label for _, label in recordings]
    ts = "@problemName p\n@univariate false\n@classLabel true circle wave\n@data\n" + "".join(
        f"{x}:{y}:{label}\n" for (x, y), label in zip(columns, labels, strict=True)
    )
    yield _text("ts", "data.ts"), {"data.ts": ts.encode()}
    stamped = "@timeStamps true\n@classLabel true circle wave\n@data\n" + "".join(
        ":".join(",".join(f"({t},{value})" for t, value in enumerate(values[:, n])) for n in (0, 1))
        + f":{label}\n"
        for values, label in recordings
    )
    yield _text("ts-time-stamps", "data.ts"), {"data.ts": stamped.encode()}
    numeric = "".join(f"@attribute a{n} numeric\n" for n in range(6))
    univariate = f"@relation r\n{numeric}@attribute target {{circle,wave}}\n@data\n" + "".join(
        ",".join("?" if np.isnan(v) else str(v) for v in _padded(values, 6)[:, 0]) + f",{label}\n"
        for values, label in recordings
    )
    yield _text("arff", "data.arff", input_size=1), {"data.arff": univariate.encode()}
    relational = (
        "@relation r\n@attribute series relational\n  @attribute a0 numeric\n@end series\n"
        "@attribute target {circle,wave}\n@data\n"
    ) + "".join(f'"{x}\\n{y}",{label}\n' for (x, y), label in zip(columns, labels, strict=True))
    yield _text("arff-relational", "data.arff"), {"data.arff": relational.encode()}
    lines = [
        json.dumps({"values": values.tolist(), "label": label, "sequence": f"s{n}", "group": n})
        for n, (values, label) in enumerate(recordings)
    ]
    jsonl = ("\n".join(lines) + "\n").encode()
    sample = _text("jsonl", "data.jsonl")
    sample = replace(sample, mutations=(*sample.mutations, containers.json_line))
    yield sample, {"data.jsonl": jsonl}
    packed = Sample(
        "jsonl.bz2",
        "data.jsonl.bz2",
        read_data(),
        "data.jsonl.bz2",
        (containers.inside("bz2", (*TEXT, containers.json_line)),),
        has_checksum=True,
        has_size=True,
    )
    yield packed, {"data.jsonl.bz2": bz2.compress(jsonl)}
    first = "".join(
        "\t".join([str(n % 2), *map(str, values[:, 0])]) + "\n"
        for n, (values, _) in enumerate(recordings)
    )
    yield _text("tsv-label-first", "data.tsv", input_size=1), {"data.tsv": first.encode()}
    files = {
        f"data/{label}/{n}.csv": ("a,b\n" + "\n".join(f"{a},{b}" for a, b in values)).encode()
        for n, (values, label) in enumerate(recordings[:4])
    }
    folder_of_csv = Sample("class-folders", "data/wave/1.csv", read_data(), "data", TEXT)
    yield folder_of_csv, files
    yield from _images()


def _text(name: str, file: str, input_size: int = 2) -> Sample:
    return Sample(name, file, read_data(input_size=input_size), file, TEXT)


def _images() -> Made:
    from PIL import Image

    files = {}
    for n in range(4):
        png = io.BytesIO()
        Image.fromarray(np.full((5, 2), 60 * n, np.uint8)).save(png, "png")
        files[f"data/{'ab'[n % 2]}/{n}.png"] = png.getvalue()
    yield Sample("png", "data/b/1.png", read_data(), "data", has_size=True), files


def _trained(folder: Path) -> Path:
    """Return the folder of a finished run on a file beside it."""
    run = folder / "trained" / "run"
    if not run.exists():
        data = folder / "trained" / "data.jsonl"
        data.parent.mkdir(parents=True)
        lines = [
            json.dumps({"values": values.tolist(), "label": label})
            for values, label in _recordings()
        ]
        data.write_text("\n".join(lines))
        train(str(data), out=run, hidden_size=3, num_layers=1, epochs=2, validation_fraction=0.25)
    return run


def _models(folder: Path) -> Made:
    run = _trained(folder)
    files = {
        f"model/{name}": (run / name).read_bytes() for name in ("config.json", "model.safetensors")
    }
    config = Sample("config.json", "model/config.json", (read_model,), "model", JSON_TEXT)
    yield replace(config, has_checksum=True), files
    resealed = replace(config, name="config.json-resealed", readings=(read_resealed_model,))
    yield resealed, files
    weights = Sample(
        "model.safetensors",
        "model/model.safetensors",
        (read_model,),
        "model",
        (containers.safetensors_header,),
        has_checksum=True,
        has_size=True,
    )
    yield weights, files
    exported = folder / "trained" / "model.onnx"
    export_onnx(load(run), exported)
    onnx = Sample("onnx", "model.onnx", (read_model,), "model.onnx", (containers.onnx_field,))
    yield onnx, {"model.onnx": exported.read_bytes()}


def read_model(path: Path) -> str:
    """Load a model and use it."""
    model = load(path)
    return sha256(model.predict_logits(np.ones((2, 3, 2))).numpy().tobytes()).hexdigest()


def read_resealed_model(path: Path) -> str:
    """Load a model whose weights are saved again with the checksum of its config."""
    weights = path / "model.safetensors"
    content = weights.read_bytes()
    tensors, _ = load_tensors(weights)
    config_sha256 = sha256_of((path / "config.json").read_bytes())
    save_tensors(weights, tensors, {"config_sha256": config_sha256})
    try:
        return read_model(path)
    finally:
        weights.write_bytes(content)


def _runs(folder: Path) -> Made:
    run = _trained(folder)
    finished = {
        f"run/{path.relative_to(run)}": path.read_bytes()
        for path in run.rglob("*")
        if path.is_file()
    }
    unfinished = {name: content for name, content in finished.items() if "metrics" not in name}
    for name, mutations, contents in (
        ("metrics.json", JSON_TEXT, finished),
        ("history.jsonl", (containers.json_line, *TEXT), finished),
        ("checkpoints/request.json", JSON_TEXT, unfinished),
        ("checkpoints/training.safetensors", (containers.safetensors_header,), unfinished),
    ):
        readings = (read_finished_run,) if contents is finished else (read_unfinished_run,)
        is_state = name.endswith(".safetensors")
        sample = Sample(
            name.rpartition("/")[2],
            f"run/{name}",
            readings,
            "run",
            mutations,
            has_checksum=is_state,
            has_size=is_state,
            refers_to="data",
        )
        yield sample, contents


def read_finished_run(path: Path) -> str:
    """Read all that a report shows of a run."""
    status = RunFolder(path).describe_status()
    record = read_record(path)
    return sha256(repr((status, record.epochs, record.metrics)).encode()).hexdigest()


def read_unfinished_run(path: Path) -> str:
    """Continue a run by one step, and restore its files."""
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    request = RunFolder(path).read_request()
    try:
        with suppress(TrainingInterrupted):
            resume(path, should_stop=lambda: True)
    finally:
        for file in path.rglob("*"):
            if file.is_file() and file not in before:
                file.unlink()
        for file, content in before.items():
            file.write_bytes(content)
    return sha256(repr(request).encode()).hexdigest()
