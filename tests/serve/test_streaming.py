"""The WebSocket: records and answers, limits, and who may connect."""

import json
import threading

import numpy as np
import pytest
from fastapi.testclient import TestClient
from serving import make_model, message_of, value_of
from starlette.testclient import WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect

from bothways.serve.access import Token, allowed_hosts
from bothways.serve.app import create_app
from bothways.serve.limits import Limits

FORWARD = {"bidirectional": False, "features": ("x", "y", "z")}
SECRET = "0123456789abcdef"


def client_of(limits=None, settings=FORWARD, **options):
    return TestClient(create_app(make_model(**settings), limits, **options))


def record(sequence, time, **others):
    return {"id": sequence, "t": time, "x": time, "y": 0.5, "z": -1, **others}


def lines(*records):
    return "\n".join(map(json.dumps, records))


def refused(client, status, path="/stream", **options):
    """Return the message of a connection that is refused."""
    with (
        pytest.raises(WebSocketDenialResponse) as caught,
        client.websocket_connect(path, **options),
    ):
        pass
    return message_of(caught.value, status)


def test_answers_are_those_of_predict_proba():
    model, steps = make_model(**FORWARD), np.array([[n, 0.5, -1.0] for n in range(4)])
    expected = model.predict_proba([steps[: n + 1] for n in range(4)])
    with client_of() as client, client.websocket_connect("/stream") as socket:
        socket.send_text(lines(record("a", 0)))
        first = socket.receive_json()
        socket.send_bytes(lines(record("b", 0), record("a", 1), record("a", 2)).encode())
        others = [socket.receive_json() for _ in range(3)]
        socket.send_text(lines(record("a", 3, end=True), record("a", 0)))
        last = [socket.receive_json() for _ in range(2)]
        metrics = client.get("/metrics").text
    assert [a["sequence"] for a in others] == ["b", "a", "a"]
    own = [first, *others[1:], last[0]]
    assert [(a["step"], a["time"]) for a in own] == [(n, n) for n in range(4)]
    found = [list(a["probabilities"].values()) for a in own]
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)
    assert last[1] == first
    assert value_of(metrics, "bothways_steps_total") == 6
    assert value_of(metrics, "bothways_held_bytes") > 0  # the states


def test_connections_have_their_own_sequences():
    with (
        client_of() as client,
        client.websocket_connect("/stream") as one,
        client.websocket_connect("/stream") as other,
    ):
        one.send_text(lines(record("a", 5), record("a", 6)))
        other.send_text(lines(record("a", 5)))
        assert [one.receive_json()["step"] for _ in range(2)] == [0, 1]
        assert other.receive_json()["step"] == 0


@pytest.mark.parametrize("value", ["true", "1"])
def test_segments(value):
    settings = {**FORWARD, "readout": "step"}
    with (
        client_of(settings=settings) as client,
        client.websocket_connect(f"/stream?segments={value}") as socket,
    ):
        socket.send_text(lines(*(record("a", 1) for _ in range(3)), {"id": "a", "end": True}))
        segment = socket.receive_json()
    assert (segment["sequence"], segment["start"]) == ("a", 0)
    assert {"label", "end", "probability", "start_time", "last_time"} <= set(segment)


def test_bad_records_are_named_and_the_others_answered():
    with client_of() as client, client.websocket_connect("/stream") as socket:
        socket.send_text(lines(record("a", 1), {"id": "a"}) + "\n{oops")
        assert socket.receive_json()["step"] == 0
        problems = [socket.receive_json()["error"] for _ in range(2)]
        assert [problem["status"] for problem in problems] == [422, 422]
        assert problems[0]["message"].startswith("line 2: x is missing; expected a number")
        assert problems[1]["message"].startswith("line 3 is not JSON")
        socket.send_text(lines(record("a", 2)))
        assert socket.receive_json()["step"] == 1


def closing(socket):
    """Return the error and the code with which a connection is closed."""
    error = socket.receive_json()["error"]
    with pytest.raises(WebSocketDisconnect) as caught:
        socket.receive_json()
    assert "\n" not in error["message"]
    return error["status"], error["message"], caught.value.code


def test_lines_before_the_first_record_are_named():
    with client_of() as client, client.websocket_connect("/stream") as socket:
        socket.send_text("hello")
        message = socket.receive_json()["error"]["message"]
        assert message.startswith("line 1 is neither a JSON object nor a header with x, y, z and ")
        socket.send_text(lines(record("a", 1)))
        assert socket.receive_json()["step"] == 0


def test_large_messages_close_the_connection():
    with (
        client_of(Limits(body_bytes=1000)) as client,
        client.websocket_connect("/stream") as socket,
    ):
        socket.send_text(" " * 1001)
        status, message, code = closing(socket)
    assert (status, code) == (413, 1009)
    assert message == (
        "the message is too large; expected at most 1,000 bytes. Divide it into several ones."
    )


def test_silent_connections_are_closed():
    with (
        client_of(Limits(idle_seconds=0.05)) as client,
        client.websocket_connect("/stream") as socket,
    ):
        status, message, code = closing(socket)
    assert (status, code) == (408, 1001)
    assert message == "nothing came for 0.05 s; expected records. Connect again."


def test_open_sequences_are_limited():
    with client_of(Limits(sequences=2)) as client, client.websocket_connect("/stream") as socket:
        socket.send_text(lines(*(record(name, 1) for name in "abc")))
        assert [socket.receive_json()["sequence"] for _ in range(2)] == ["a", "b"]
        message = socket.receive_json()["error"]["message"]
        assert message.startswith("line 3 opens the sequence 'c', but 2 are open")


def test_the_memory_of_states_is_limited():
    with client_of(Limits(held_bytes=500)) as client, client.websocket_connect("/stream") as socket:
        socket.send_text(lines(*(record(n, 1) for n in range(20))))
        status, message, code = closing(socket)
    assert (status, code) == (429, 1013)
    assert message.startswith("the server is busy: the requests in progress take")


def test_connections_are_requests_in_progress():
    with client_of(Limits(queue=1)) as client:
        with client.websocket_connect("/stream"):
            assert "1 requests are in progress" in refused(client, 429)
        with client.websocket_connect("/stream") as socket:
            socket.send_text(lines(record("a", 1)))
            assert socket.receive_json()["step"] == 0


def test_a_failure_reveals_nothing(monkeypatch, capsys):
    def fail(self, lines):
        raise ArithmeticError("secret\nof the server")

    monkeypatch.setattr("bothways.models.following.Follower.answers", fail)
    with client_of() as client, client.websocket_connect("/stream") as socket:
        socket.send_text(lines(record("a", 1)))
        status, message, code = closing(socket)
    assert (status, code) == (500, 1011)
    assert "secret" not in message
    assert capsys.readouterr().err == (
        "bothways: internal error: ArithmeticError: secret of the server\n"
    )


@pytest.mark.parametrize(
    ("settings", "path", "message"),
    [
        ({}, "/stream", "bidirectional is true"),
        (FORWARD, "/stream?segments=true", "segments is set, but the model labels sequences"),
        (FORWARD, "/stream?segments=yes", "segments is 'yes'; expected true or false"),
    ],
)
def test_models_that_do_not_stream(settings, path, message):
    with client_of(settings=settings) as client:
        assert refused(client, 422, path).startswith(message)
        assert 'bothways_requests_total{path="/stream",status="422"} 1.0' in (
            client.get("/metrics").text
        )


def test_a_token_is_needed():
    with client_of(token=Token(SECRET.encode())) as client:
        assert "the token is missing or wrong" in refused(client, 401)
        headers = {"Authorization": f"Bearer {SECRET}"}
        with client.websocket_connect("/stream", headers=headers) as socket:
            socket.send_text(lines(record("a", 1)))
            assert socket.receive_json()["step"] == 0


def test_pages_of_other_servers_cannot_connect():
    with client_of(hosts=allowed_hosts("127.0.0.1")) as client:
        for origin in ("http://evil.example", "null", "http://127.0.0.1:1"):
            headers = {"host": "127.0.0.1:8000", "origin": origin}
            assert "names a page of another server" in refused(client, 403, headers=headers)
        assert "the header Host names another" in refused(client, 421, headers={"host": "evil"})
        headers = {"host": "127.0.0.1:8000", "origin": "http://127.0.0.1:8000"}
        with client.websocket_connect("/stream", headers=headers):
            pass


@pytest.mark.parametrize("path", ["/nope", "/", "/predict", "/stream/"])
def test_other_paths_have_no_websocket(path):
    with client_of() as client:
        assert refused(client, 404, path) == (
            "this path has no WebSocket; expected /stream. Check the path."
        )


def test_an_ordinary_request_is_told_what_is_missing():
    with client_of() as client:
        response = client.get("/stream")
    assert "this path answers WebSockets only" in message_of(response, 426)
    assert response.headers["upgrade"] == "websocket"


def test_many_connections_at_once(seed):
    steps = np.random.default_rng(seed).normal(size=(8, 5, 3)).round(3)
    model = make_model(**FORWARD)
    found = {}

    def talk(client, number):
        with client.websocket_connect("/stream") as socket:
            for x, y, z in steps[number].tolist():
                socket.send_text(lines({"id": number, "x": x, "y": y, "z": z}))
                found[number] = socket.receive_json()

    with client_of() as client:
        threads = [threading.Thread(target=talk, args=(client, n)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    expected = model.predict_proba(list(steps))
    for number, answer in found.items():
        probabilities = list(answer["probabilities"].values())
        np.testing.assert_allclose(probabilities, expected[number], rtol=0, atol=2e-6)
    assert len(found) == 8
