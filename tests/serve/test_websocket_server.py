"""WebSockets of a real server, which TestClient does not use."""

import json
import time
from contextlib import ExitStack

import pytest
from serving import make_model, running
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from bothways.serve.access import Token
from bothways.serve.limits import Limits

FORWARD = {"bidirectional": False, "features": ("x", "y", "z")}
RECORD = json.dumps({"id": "a", "x": 1, "y": 2, "z": 3})
SECRET = "0123456789abcdef"


def test_records_are_answered():
    with (
        running(make_model(**FORWARD)) as port,
        connect(f"ws://127.0.0.1:{port}/stream") as socket,
    ):
        for step in range(3):
            socket.send(RECORD)
            assert json.loads(socket.recv(20))["step"] == step


def test_a_connection_outlives_the_time_limit_of_requests():
    with (
        running(make_model(**FORWARD), Limits(client_seconds=0.3)) as port,
        connect(f"ws://127.0.0.1:{port}/stream") as socket,
    ):
        socket.send(RECORD)
        socket.recv(20)
        time.sleep(0.9)
        socket.send(RECORD)
        assert json.loads(socket.recv(20))["step"] == 1


def test_a_large_message_closes_the_connection():
    with (
        running(make_model(**FORWARD), Limits(body_bytes=1000)) as port,
        connect(f"ws://127.0.0.1:{port}/stream") as socket,
    ):
        socket.send(RECORD * 100)
        with pytest.raises(ConnectionClosed) as caught:
            socket.recv(20)
    assert caught.value.rcvd.code == 1009  # too big


def test_other_paths_are_refused():
    with (
        running(make_model(**FORWARD)) as port,
        pytest.raises(InvalidStatus, match="404") as caught,
    ):
        connect(f"ws://127.0.0.1:{port}/nope")
    assert json.loads(caught.value.response.body)["error"]["status"] == 404


def test_the_token_is_needed():
    with running(make_model(**FORWARD), token=Token(SECRET.encode())) as port:
        url = f"ws://127.0.0.1:{port}/stream"
        with pytest.raises(InvalidStatus, match="401"):
            connect(url)
        with connect(url, additional_headers={"Authorization": f"Bearer {SECRET}"}) as socket:
            socket.send(RECORD)
            assert json.loads(socket.recv(20))["step"] == 0


def test_a_server_with_open_connections_stops():
    with ExitStack() as server:
        port = server.enter_context(running(make_model(**FORWARD)))
        with connect(f"ws://127.0.0.1:{port}/stream") as socket:
            socket.send(RECORD)
            socket.recv(20)
            server.close()
            with pytest.raises(ConnectionClosed):
                socket.recv(20)
