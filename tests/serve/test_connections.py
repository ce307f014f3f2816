"""Slow and broken clients, with plain sockets."""

import socket
import threading
import time
from contextlib import contextmanager
from itertools import repeat

import httpx
import pytest
from serving import make_model, running, serving

from bothways.serve import batching
from bothways.serve.limits import Limits
from bothways.serve.rows import RowwiseModel

LIMITS = Limits(client_seconds=0.3, seconds=5)
HEAD = b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
BODY = b'{"sequence": [[0, 1, 2]]}'


@pytest.fixture(scope="module")
def port():
    with running(make_model(), LIMITS) as port:
        yield port


@contextmanager
def connected(port):
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        yield connection


def received(connection):
    """Return what arrives until the server closes the connection."""
    parts = []
    try:
        while part := connection.recv(1 << 16):
            parts.append(part)
    except ConnectionError:
        pass
    return b"".join(parts)


def is_closed_while_sending(connection, parts, pause=0.0):
    """Return whether the server closes the connection before all parts are sent."""
    try:
        for part in parts:
            connection.sendall(part)
            time.sleep(pause)
    except ConnectionError:
        return True
    return False


def check_health(port):
    """The server answers, and soon holds nothing of earlier requests."""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        assert client.get("/health").status_code == 200
        for _ in range(100):
            metrics = client.get("/metrics").text
            if "bothways_held_bytes 0.0" in metrics.splitlines():
                return
            time.sleep(0.02)
    raise AssertionError(metrics)


def test_a_connection_without_headers_is_closed(port):
    with connected(port) as connection:
        assert received(connection) == b""
    check_health(port)


def test_headers_that_arrive_slowly_are_not_waited_for(port):
    with connected(port) as connection:
        assert is_closed_while_sending(connection, (bytes([byte]) for byte in HEAD), pause=0.01)
    check_health(port)


def test_headers_that_arrive_slowly_after_a_first_request(port):
    with connected(port) as connection:
        length = b"Content-Length: %d\r\n\r\n" % len(BODY)
        connection.sendall(HEAD + length + BODY + b"POST /pre")
        assert b"200 OK" in received(connection)
    check_health(port)


@pytest.mark.parametrize("chunk", [b"X-Header: " + b"a" * 1000 + b"\r\n", b"a" * 1000])
def test_endless_headers_are_refused(port, chunk):
    with connected(port) as connection:
        connection.sendall(HEAD + b"X: ")
        assert is_closed_while_sending(connection, repeat(chunk, 100_000))
    check_health(port)


def test_endless_trailers_are_refused(port):
    trailer = b"X-Trailer: " + b"a" * 1000 + b"\r\n"
    with connected(port) as connection:
        connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n0\r\n")
        assert is_closed_while_sending(connection, repeat(trailer, 100_000))
    check_health(port)


def test_a_body_that_stops_is_answered_with_408(port):
    with connected(port) as connection:
        connection.sendall(HEAD + b"Content-Length: 100\r\n\r\n{")
        response = received(connection)
    assert b"408 Request Timeout" in response
    assert b"the body did not arrive within 0.3 s" in response
    check_health(port)


def test_a_body_in_single_bytes_is_read(port):
    with connected(port) as connection:
        chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in BODY)
        connection.sendall(HEAD + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n")
        connection.sendall(chunks + b"0\r\n\r\n")
        assert b"200 OK" in received(connection)


def test_an_early_answer_reaches_a_client_that_still_sends(port):
    with connected(port) as connection:
        connection.sendall(HEAD + b"Content-Length: 100000000\r\n\r\n")
        for _ in range(100):
            connection.sendall(b" " * 10_000)
        connection.shutdown(socket.SHUT_WR)
        response = received(connection)
    assert b"413 " in response
    assert b"connection: close" in response
    check_health(port)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        HEAD[:20],
        HEAD + b"Content-Length: 100\r\n\r\n{",
        HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /%ff%00/../.. HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
    ids=range(7),
)
def test_clients_that_leave(port, sent):
    for _ in range(20):
        with connected(port) as connection:
            connection.sendall(sent)
            if len(sent) % 2:  # a reset instead of an orderly end
                linger = (1).to_bytes(4, "little") + (0).to_bytes(4, "little")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    check_health(port)


def test_invalid_requests_get_400(port):
    with connected(port) as connection:
        connection.sendall(b"GARBAGE\r\n\r\n")
        assert received(connection).startswith(b"HTTP/1.1 400 Bad Request")


def large_answers():
    """Return a model whose answers are larger than what operating systems buffer."""
    return make_model(readout="step", classes=tuple(str(n) * 1000 for n in range(3)))


def test_a_client_that_does_not_read_is_left():
    body = b'{"sequence": [' + b",".join([b"[0,9,-9]"] * 20_000) + b"]}"
    with running(large_answers(), LIMITS) as port, connected(port) as connection:
        connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        assert connection.recv(1) == b"H"  # the answer begins
        check_health(port)  # and is dropped
        assert len(received(connection)) < 20_000_000


def test_a_slow_reader_gets_the_whole_answer():
    with serving(large_answers(), LIMITS) as client:
        body = {"sequence": [[0, 9, -9]] * 20_000}
        with client.stream("POST", "/predict", json=body) as response:
            size = 0
            for part in response.iter_raw(1 << 20):
                size += len(part)
                time.sleep(0.05)
        assert size == int(response.headers["content-length"])


def test_the_queue_forgets_clients_that_left(monkeypatch):
    release, taken = threading.Event(), []
    original = RowwiseModel.probabilities

    def probabilities(rowwise, arrays):
        taken.append(len(arrays))
        assert release.wait(10)
        return original(rowwise, arrays)

    monkeypatch.setattr(RowwiseModel, "probabilities", probabilities)
    monkeypatch.setattr(batching, "AT_ONCE_WORK", 0)  # in a thread
    with running(make_model(), LIMITS) as port:
        whole = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
        with connected(port) as first:
            first.sendall(whole)
            while not taken:
                time.sleep(0.01)
            others = [socket.create_connection(("127.0.0.1", port)) for _ in range(5)]
            for other in others:
                other.sendall(whole)
            for other in others:
                other.close()
            for _ in range(300):
                metrics = httpx.get(f"http://127.0.0.1:{port}/metrics").text
                if 'bothways_requests_total{path="/predict",status="499"} 5.0' in metrics:
                    break
                time.sleep(0.01)
            release.set()
            assert b"200 OK" in first.recv(1000)
        check_health(port)
    assert taken == [1]
