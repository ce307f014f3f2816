import re

import pytest
from serving import BODY, CLASSES, make_model, message_of, serving, value_of

from bothways.serve.access import Token, allowed_hosts
from bothways.serve.rows import RowwiseModel

SECRET = "0123456789abcdef"
BEARER = {"Authorization": f"Bearer {SECRET}"}
PATHS = [
    "/predict",
    "/playback",
    "/model",
    "/health",
    "/ready",
    "/metrics",
    "/docs",
    "/openapi.json",
    "/nothing",
]


@pytest.fixture(scope="module")
def model():
    return make_model()


@pytest.fixture(scope="module")
def client(model):
    with serving(model, hosts=allowed_hosts("127.0.0.1")) as client:
        yield client


def test_the_card_describes_the_model(client, model):
    card = client.get("/model").json()
    assert card["classes"] == list(CLASSES)
    assert card["input_size"] == 3
    assert card["target"] == "sequence"
    assert card["settings"] == model.manifest.model.model_dump(mode="json")


def test_health_and_readiness(client):
    assert client.get("/health").json() == {"status": "ok"}
    assert client.get("/ready").json() == {"status": "ready"}


def test_metrics_count_requests_and_batches(model):
    with serving(model) as client:
        for _ in range(3):
            client.post("/predict", json=BODY)
        client.post("/predict", json={})
        client.get("/a-secret-path")
        metrics = client.get("/metrics").text
    assert value_of(metrics, 'bothways_requests_total{path="/predict",status="200"}') == 3
    assert value_of(metrics, 'bothways_requests_total{path="/predict",status="422"}') == 1
    assert value_of(metrics, 'bothways_requests_total{path="other",status="404"}') == 1
    assert value_of(metrics, "bothways_sequences_total") == 3
    assert value_of(metrics, "bothways_steps_total") == 6
    assert value_of(metrics, "bothways_waiting_requests") == 0
    assert value_of(metrics, "bothways_held_bytes") == 0


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_every_response_has_security_headers(client, path, method):
    headers = client.request(method, path).headers
    assert headers["content-security-policy"].startswith("default-src 'self'; ")
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in headers
    assert "server" not in headers


def test_unknown_paths_and_methods_are_errors(client):
    assert "this path does not exist" in message_of(client.get("/nothing"), 404)
    assert "has no such method" in message_of(client.get("/predict"), 405)


def test_another_host_name_is_refused(client):
    for host in ("evil.example", "evil.example:8000", "127.0.0.1.evil.example"):
        message = message_of(client.get("/model", headers={"Host": host}), 421)
        assert "expected 127.0.0.1 or [::1] or localhost" in message
    assert client.get("/model", headers={"Host": "localhost:1"}).status_code == 200


def test_a_token_protects_everything_but_health(model):
    with serving(model, token=Token(SECRET.encode())) as client:
        for path in PATHS:
            public = path in ("/health", "/ready")
            response = client.get(path)
            assert response.status_code == 200 if public else message_of(response, 401)
            assert public or response.headers["www-authenticate"] == "Bearer"
        assert client.post("/predict", json=BODY).status_code == 401
        assert client.post("/predict", json=BODY, headers=BEARER).status_code == 200
        described = client.get("/openapi.json", headers=BEARER).json()
        assert described["paths"]["/predict"]["post"]["security"] == [{"token": []}]
        assert "security" not in described["paths"]["/health"]["get"]


def test_errors_of_the_model_reveal_nothing(model, monkeypatch, capsys):
    def fail(*_):
        raise RuntimeError("a secret\nin two lines")

    monkeypatch.setattr(RowwiseModel, "probabilities", fail)
    with serving(model) as client:
        message = message_of(client.post("/predict", json=BODY), 500)
        assert "secret" not in message
        assert client.get("/ready").status_code == 200
    errors = capsys.readouterr().err
    assert errors == "bothways: internal error: RuntimeError: a secret in two lines\n"


def test_the_page_needs_no_token_but_its_data_do(model):
    with serving(model, token=Token(SECRET.encode())) as client:
        page = client.get("/")
        assert page.headers["content-type"].startswith("text/html")
        assert "unsafe" not in page.headers["content-security-policy"]
        files = re.findall(r'(?:href|src)="(/static/[^"]*)"', page.text)
        assert len(files) == 5
        for file in files:
            assert client.get(file).status_code == 200
        for path in ("/model", "/examples"):
            assert client.get(path).status_code == 401
        assert client.post("/playback", json=BODY).status_code == 401


def test_there_are_no_examples_without_data(client):
    assert client.get("/examples").json() == {"examples": []}
    assert client.get("/model").json()["has_examples"] is False
