"""The command, in processes of its own."""

import json
import os
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
from commands import run_command, start_command
from serving import BODY, make_model, npz

SECRET = "0123456789abcdef"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    make_model(readout="step", missing="mean").save(folder / "run")
    (folder / "token").write_text(SECRET)
    return folder


@contextmanager
def command(folder, *arguments, before=""):
    """Start `bothways serve`; yield the process, its URL and the path of its standard error."""
    output, errors = folder / "output", folder / "errors"
    process = start_command(
        *("serve", folder / "run", "--port", 0, *arguments),
        output=output,
        errors=errors,
        before=before,
    )
    try:
        for _ in range(1000):
            if output.exists() and "\n" in output.read_text():
                break
            assert process.is_alive(), errors.read_text()
            time.sleep(0.02)
        first = output.read_text().splitlines()[0]
        assert first.startswith("ready: http://")
        yield process, first.split()[1], errors
    finally:
        if process.is_alive():
            process.kill()
        process.join()
        output.unlink()


def stop(process, number=signal.SIGTERM):
    os.kill(process.pid, number)
    process.join(20)
    return process.exitcode


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_command_with_exit_code_0(folder, number):
    with command(folder) as (process, url, errors):
        with httpx.Client(base_url=url) as client:  # its connection stays open
            assert client.post("/predict", json=BODY).status_code == 200
            assert stop(process, number) == 0
        assert errors.read_text() == ""


SLOW = """
import time
from bothways.serve import batching
batching.AT_ONCE_WORK = 0  # in a thread
from bothways.serve.rows import RowwiseModel
original = RowwiseModel.probabilities
def slowly(rowwise, arrays):
    time.sleep(1.0 if len(arrays[0]) > 1 else 0)  # but not when the server starts
    return original(rowwise, arrays)
RowwiseModel.probabilities = slowly
"""


def test_accepted_requests_are_answered_and_new_ones_refused_while_stopping(folder):
    with command(folder, before=SLOW) as (process, url, errors):
        with ThreadPoolExecutor(5) as pool:
            accepted = [pool.submit(httpx.post, f"{url}/predict", json=BODY) for _ in range(5)]
            while "bothways_held_bytes 120.0" not in httpx.get(f"{url}/metrics").text:
                time.sleep(0.01)
            os.kill(process.pid, signal.SIGTERM)
            refused = False
            while not refused and not all(future.done() for future in accepted):
                try:
                    httpx.get(f"{url}/health")
                except httpx.ConnectError:
                    refused = True
            assert refused
            assert [future.result().status_code for future in accepted] == [200] * 5
        process.join(20)
        assert process.exitcode == 0
        assert errors.read_text() == ""


BROKEN = """
from bothways.serve.requests import read
def fail(*_, **__):
    raise RuntimeError("broken")
read.read_json = fail
"""


def test_internal_errors_are_one_line(folder):
    with command(folder, before=BROKEN) as (process, url, errors):
        for _ in range(2):
            assert httpx.post(f"{url}/predict", json=BODY).status_code == 500
        assert stop(process) == 0
        assert errors.read_text() == "bothways: internal error: RuntimeError: broken\n" * 2


def test_options_of_the_command(folder):
    token = folder / "token"
    options = ["--token-file", token, "--max-mb", 1, "--max-sequences", 1, "--max-steps", 5]
    options += ["--host", "0.0.0.0", "--max-queue", 3, "--max-seconds", 9, "--threads", 1]
    with command(folder, *options) as (process, url, _):
        url = url.replace("0.0.0.0", "127.0.0.1")
        assert httpx.post(f"{url}/predict", json=BODY).status_code == 401
        with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {SECRET}"}) as client:
            assert client.post("/predict", json=BODY).status_code == 200
            assert client.post("/predict", json={"sequence": [[0, 0, 0]] * 6}).status_code == 422
            two = {"sequences": [[[0, 0, 0]]] * 2}
            assert client.post("/predict", json=two).status_code == 422
            assert client.post("/predict", content=b" " * (1 << 20) + b" ").status_code == 415
        assert stop(process) == 0


def refused(folder, *arguments):
    result = run_command("serve", folder / "run", *arguments)
    assert result.returncode == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("bothways: ")
    return line


def test_a_port_in_use_is_one_line(folder):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = refused(folder, "--port", port)
    assert f"port {port} of 127.0.0.1 cannot be used: Address already in use" in line
    assert "--port 0" in line


def test_other_addresses_need_a_token(folder):
    line = refused(folder, "--host", "0.0.0.0", "--port", 0)
    assert "host is '0.0.0.0' but there is no token" in line
    with command(folder, "--host", "0.0.0.0", "--insecure") as (process, _, _errors):
        assert stop(process) == 0


def test_bad_arguments_are_one_line(folder):
    assert "host is 'no host'" in refused(folder, "--host", "no host", "--insecure")
    assert "'--max-sequences'" in refused(folder, "--max-sequences", 0)
    assert "cannot be read" in refused(folder, "--token-file", folder / "nothing")


@pytest.mark.parametrize("package", ["fastapi", "uvicorn", "httptools", "prometheus_client"])
def test_a_missing_package_is_named_with_its_extra(folder, package):
    before = f"import sys; sys.modules[{package!r}] = None"
    result = run_command("serve", folder / "run", before=before)
    assert result.returncode == 2
    assert result.stderr.startswith("bothways: served models need the package ")
    assert result.stderr.endswith("Run: pip install 'bothways[serve]'\n")


def resident_bytes(process):
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_memory_does_not_grow(folder):
    """Refused requests, and clients that leave, keep nothing: their bodies add up to 100 MB."""
    bad = json.dumps({"sequence": [[0, 0, 0]] * 30_000 + [[0, 0, "x"]]}).encode()
    bomb = npz(inputs=np.zeros((1, 500_000, 3)))
    kinds = [
        (bad, "application/json"),
        (b"[" * 1_000_000, "application/json"),
        (b"[" + b"0," * 300_000 + b"0]", "application/json"),
        (bomb, "application/x-npz"),
        (b"x" * 1_000_000, "application/x-npz"),
        (b"x" * 1_000_000, "text/plain"),
    ]
    with command(folder) as (process, url, errors), httpx.Client(base_url=url) as client:
        host, port = url.removeprefix("http://").split(":")

        def round_of_requests():
            for content, kind in kinds:
                found = client.post("/predict", content=content, headers={"Content-Type": kind})
                assert found.status_code in (413, 415, 422)
            with socket.create_connection((host, int(port))) as leaving:
                head = f"POST /predict HTTP/1.1\r\nHost: {host}\r\nContent-Length: 9999999\r\n"
                leaving.sendall(head.encode() + b"Content-Type: application/json\r\n\r\n")
                leaving.sendall(b" " * 1_000_000)

        for _ in range(3):
            round_of_requests()
        before = resident_bytes(process)
        for _ in range(20):
            round_of_requests()
        assert resident_bytes(process) < before + (32 << 20)
        assert client.post("/predict", json=BODY).status_code == 200
        client.close()
        assert stop(process) == 0
        assert errors.read_text() == ""
