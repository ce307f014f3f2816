"""Tables in an object store: the bits of the files on this machine, and one line for each error."""

import json
import socket
import threading
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
import pandas as pd
import pytest
from commands import succeed
from store_server import ACCESS, serve_store

from bothways.data.open import open_dataset
from bothways.data.options import DataOptions
from bothways.data.readers import remote
from bothways.data.readers.locations import locate
from bothways.data.readers.registry import open_source
from bothways.errors import DataError
from bothways.models.predict_files import predict_files
from bothways.training.run import resume, train
from bothways.training.run_directory import RunFolder
from bothways.training.run_evaluation import evaluate_splits

SMALL = {"steps": 5, "hidden_size": 4, "num_layers": 1, "validation_fraction": 0.0}


@pytest.fixture(autouse=True)
def access(monkeypatch):
    for name, value in ACCESS.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_PROFILE", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder of tables: `year=…/x.parquet`, `csv/x.csv.gz`, and an array."""
    folder = tmp_path_factory.mktemp("local")
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "id": np.repeat([f"s{n}" for n in range(20)], 5),
            "t": np.tile(range(5), 20),
            "x": rng.normal(size=100),
            "label": np.repeat(np.arange(20) % 2, 5),
        }
    )
    for n in range(4):
        part = folder / f"sensors/year={2024 + n // 2}/part-{n}.parquet"
        part.parent.mkdir(parents=True, exist_ok=True)
        table[n * 25 : n * 25 + 25].to_parquet(part, index=False)
        csv = folder / f"csv/part-{n}.csv.gz"
        csv.parent.mkdir(exist_ok=True)
        table[n * 25 : n * 25 + 25].to_csv(csv, index=False)
    np.save(folder / "csv/x.npy", np.zeros((2, 3, 4)))
    return folder


@pytest.fixture(scope="module")
def store(folder):
    with serve_store() as store:
        store.put(folder, "bucket-1/data")
        yield store


@pytest.mark.parametrize(
    "path",
    [
        "sensors",
        "sensors/year=2025",
        "sensors/*/part-*.parquet",
        "**/*.parquet",
        "csv",
        "csv/*.csv.gz",
        "csv/part-[01].csv.gz",
    ],
)
def test_a_store_gives_the_bits_of_the_files(store, folder, path):
    here = open_dataset(f"{folder}/{path}")
    there = open_dataset(f"s3://bucket-1/data/{path}{store.query}")
    np.testing.assert_array_equal(there.train.steps, here.train.steps)
    np.testing.assert_array_equal(there.train.labels, here.train.labels)
    notes = [note.replace("s3://bucket-1/data", str(folder)) for note in there.notes]
    assert notes == list(here.notes)
    assert "?" not in there.name


def test_one_file_of_a_store_whatever_the_case_of_the_scheme(store, folder):
    here = open_dataset(f"{folder}/csv/part-0.csv.gz")
    there = open_dataset(f"S3://bucket-1/data/csv/part-0.csv.gz{store.query}")
    np.testing.assert_array_equal(there.train.steps, here.train.steps)


def test_the_endpoint_of_the_environment(store, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{store.endpoint}")
    assert len(open_dataset("s3://bucket-1/data/csv").train) == 20


def test_a_run_from_a_store(store, folder, tmp_path):
    uri = f"s3://bucket-1/data/sensors{store.query}"
    run = train(uri, out=tmp_path / "run", **SMALL)
    request = RunFolder(run.folder).read_request()
    assert request.source == uri
    local = train(f"{folder}/sensors", out=tmp_path / "local", **SMALL)
    weights = "model.safetensors"
    assert (run.folder / weights).read_bytes() == (local.folder / weights).read_bytes()
    for name in ("metrics.json", weights):
        (run.folder / name).unlink()
    (run.folder / "checkpoints/training.safetensors").unlink(missing_ok=True)
    resume(run.folder)
    assert (run.folder / weights).read_bytes() == (local.folder / weights).read_bytes()
    model = run.load()
    metrics = evaluate_splits(model, run.folder, uri, "train")
    assert metrics["train"] == evaluate_splits(local.load(), local.folder, None, "train")["train"]
    same_rows = evaluate_splits(model, run.folder, f"s3://bucket-1/data/csv{store.query}", "train")
    assert same_rows == metrics
    answers = list(predict_files(model, [uri], print))
    assert answers == list(predict_files(model, [folder / "sensors"], print))
    several = list(predict_files(model, [uri, folder / "csv/part-0.csv.gz"], print))
    assert several[0].sequence == "s3://bucket-1/data/sensors:s0"


def test_test_and_validation_files_of_a_store(store):
    query = store.query
    options = DataOptions(
        test=f"s3://bucket-1/data/csv/part-3.csv.gz{query}",
        validation=f"s3://bucket-1/data/csv/part-2.csv.gz{query}",
    )
    dataset = open_dataset(f"s3://bucket-1/data/csv/part-[01].csv.gz{query}", options)
    assert {name: len(part) for name, part in dataset.parts.items()} == {
        "train": 10,
        "validation": 5,
        "test": 5,
    }


def test_a_command_reads_a_store(store):
    shown = succeed("inspect", f"s3://bucket-1/data/csv{store.query}").output
    assert "20" in shown
    assert ACCESS["AWS_SECRET_ACCESS_KEY"] not in shown


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        (
            "s3://bucket-2/data{query}",
            r"bucket-2/data cannot be read: there is no such bucket or path ",
        ),
        ("s3://bucket-1/none{query}", r"s3://bucket-1/none is not found; expected a file or a fo"),
        ("s3://bucket-1/data/*.csv{query}", r"data/\*.csv names no file; expected CSV or Parquet"),
        ("s3://bucket-1/data/csv/x.npy{query}", r"csv/x.npy is not a table, but .* Copy the file"),
        ("s3://bucket-1/x{query}&color=red", r"s3://bucket-1/x has an option 'color'; expected r"),
        ("s3:///x{query}", r"names no bucket; expected s3://BUCKET/PATH"),
        ("s3://who:pass@bucket-1/x", r"s3://bucket-1/x is named with credentials; expected none"),
        (
            "ftp://who:pass@bucket-1/x",
            r"ftp://bucket-1/x has the scheme 'ftp'; expected a path, or one of",
        ),
        ("https://bucket-1/x.csv", r"has the scheme 'https'; expected a path, or one of file, s3"),
    ],
)
def test_what_is_wrong_with_a_uri_is_one_line(store, uri, message):
    with pytest.raises(DataError, match=message) as caught:
        open_dataset(uri.replace("{query}", store.query))
    assert "\n" not in str(caught.value)
    assert "pass" not in str(caught.value)


class _GoogleStore(BaseHTTPRequestHandler):
    """The part of the protocol of Google Cloud Storage that reading takes."""

    def do_GET(self):
        parts = urlsplit(self.path)
        key = unquote(parts.path.removeprefix("/storage/v1/b/bucket-1/o")).lstrip("/")
        query = parse_qs(parts.query)
        body = None
        if not key:
            names = [name for name in self.server.files if name.startswith(query["prefix"][0])]
            body = json.dumps({"items": [self._metadata(name) for name in names]}).encode()
        elif key in self.server.files:
            content = self.server.files[key]
            body = content if "alt" in query else json.dumps(self._metadata(key)).encode()
        self.send_response(404 if body is None else 200)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def _metadata(self, name):
        size = str(len(self.server.files[name]))
        return {"name": name, "bucket": "bucket-1", "size": size, "generation": "1"}

    def log_message(self, *_):
        pass


@contextmanager
def serve(handler, **attributes):
    """Serve on a free port; yield what follows a URI so that it means this server."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        vars(server).update(attributes)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"?scheme=http&endpoint_override=127.0.0.1:{server.server_port}"
        server.shutdown()


def test_google_cloud_storage(folder):
    files = {f"data/{path.name}": path.read_bytes() for path in folder.glob("csv/*.gz")}
    here = open_dataset(f"{folder}/csv")
    with serve(_GoogleStore, files=files) as query:
        for path in ("data", "data/*.csv.gz", "data/**/part-[0-9].csv.gz"):
            there = open_dataset(f"gs://anonymous@bucket-1/{path}{query}")
            np.testing.assert_array_equal(there.train.steps, here.train.steps)
        with pytest.raises(DataError, match="gs://bucket-1/none is not found; expected a file or"):
            open_dataset(f"gs://anonymous@bucket-1/none{query}")


class _Denied(BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"<Error><Code>AccessDenied</Code><Message>No</Message></Error>"
        self.send_response(403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_HEAD(self):
        self.send_response(403)
        self.end_headers()

    def log_message(self, *_):
        pass


def test_access_that_is_denied():
    denied = pytest.raises(
        DataError, match=r"access is denied \(ACCESS_DENIED\); .*AWS_.*or the profile.$"
    )
    with serve(_Denied) as query, denied:
        open_dataset(f"s3://bucket-1/x{query}")


@pytest.mark.parametrize(
    ("scheme", "listens"),
    [("s3", True), ("s3", False), ("gs", False)],  # gs gives up on silence after two minutes
)
def test_a_store_that_does_not_answer(monkeypatch, scheme, listens):
    monkeypatch.setattr(remote, "ANSWER_SECONDS", 1)
    monkeypatch.setattr(remote, "ATTEMPTS", 1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        if listens:
            silent.listen()
        port = silent.getsockname()[1]
        uri = f"{scheme}://anonymous@bucket-1/x?scheme=http&endpoint_override=127.0.0.1:{port}"
        with pytest.raises(DataError, match=r"bucket-1/x cannot be read: there is no connection"):
            open_dataset(uri)


def test_credentials_are_those_of_the_store():
    denied = OSError("google::cloud::Status(PERMISSION_DENIED: no)")
    assert "Check GOOGLE_APPLICATION_CREDENTIALS." in str(remote.failure("gs://b/x", denied))


def test_a_store_that_cannot_be_reached_for_another_reason(monkeypatch):
    def refuse(*_):
        raise OSError("no")

    monkeypatch.setattr(remote, "_filesystem", refuse)
    with pytest.raises(DataError, match=r"reached \(OSError\); expected an existing bucket. Check"):
        remote.connect("s3://bucket-1/x")


def test_files_of_a_store_have_versions(store, folder):
    location = locate(f"s3://bucket-1/data/sensors{store.query}")
    sizes = [path.stat().st_size for path in sorted(folder.glob("sensors/*/*.parquet"))]
    versions = [file.version for file in location.files]
    assert [int(version.partition(" ")[0]) for version in versions] == sizes


def test_a_file_that_disappears_is_named(store):
    location = locate(f"s3://bucket-1/data/csv{store.query}")
    gone = [replace(file, path="bucket-1/none.csv") for file in location.files]
    with pytest.raises(DataError, match=r"part-0.csv.gz cannot be read: .*Path does not exist"):
        open_source(replace(location, files=tuple(gone)), DataOptions())
