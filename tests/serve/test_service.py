import json
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
import torch
from serving import BODY, CLASSES, make_model, message_of, npz, running, serving, value_of

from bothways.evaluation import evaluate
from bothways.serve import batching
from bothways.serve.limits import Limits
from bothways.serve.rows import RowwiseModel


@pytest.fixture(scope="module")
def model():
    return make_model()


@pytest.fixture(scope="module")
def client(model):
    with serving(model) as client:
        yield client


def probabilities_of(answer):
    return np.array(list(answer["probabilities"].values()))


def test_one_sequence_gets_a_label_and_probabilities(client, model):
    (answer,) = client.post("/predict", json=BODY).json()["predictions"]
    expected = model.predict_proba([np.array(BODY["sequence"], float)])[0]
    assert answer["sequence"] == "0"
    assert answer["label"] == CLASSES[expected.argmax()]
    assert list(answer["probabilities"]) == list(CLASSES)
    np.testing.assert_allclose(probabilities_of(answer), expected, rtol=0, atol=2e-6)


def test_json_and_npz_get_the_same_answers(client):
    inputs = np.random.default_rng(0).normal(size=(4, 6, 3)).astype(np.float32)
    lengths = np.array([6, 1, 3, 6])
    rows = [inputs[n, :length].tolist() for n, length in enumerate(lengths)]
    from_json = client.post("/predict", json={"sequences": rows})
    for kind in ("application/x-npz", "application/octet-stream"):
        content = npz(inputs=inputs, lengths=lengths)
        from_npz = client.post("/predict", content=content, headers={"Content-Type": kind})
        assert from_npz.json() == from_json.json()
    assert [a["sequence"] for a in from_json.json()["predictions"]] == ["0", "1", "2", "3"]


def test_answers_under_load_have_the_bits_of_the_sequence_alone(model, seed):
    generator = np.random.default_rng(seed)
    lengths = generator.integers(1, 60, 240)
    sequences = [generator.normal(size=(n, 3)).astype(np.float32) for n in lengths]
    rowwise = RowwiseModel(model.classifier)
    with running(model) as port:

        def ask(first):
            found = []
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as own:
                for n in range(first, len(sequences), 24):
                    some = [sequences[n], sequences[n - 1]][: 1 + n % 2]
                    body = {"sequences": [array.tolist() for array in some]}
                    response = own.post("/predict", json=body)
                    assert response.status_code == 200
                    found.append((n, response.json()["predictions"][0]))
            return found

        with ThreadPoolExecutor(24) as pool:
            answers = [answer for some in pool.map(ask, range(24)) for answer in some]
        metrics = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    assert len(answers) == len(sequences)
    assert value_of(metrics, "bothways_batch_sequences_count") < value_of(
        metrics, "bothways_sequences_total"
    )  # some requests ran together
    for n, answer in answers:
        found = probabilities_of(answer)
        np.testing.assert_array_equal(found, rowwise.probabilities([sequences[n]])[0])
        expected = model.predict_proba([sequences[n]])[0]
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)  # guarantee 1


def test_step_models_answer_with_segments():
    model = make_model(readout="step", missing="zero")
    sequence = np.random.default_rng(0).normal(size=(30, 3)) * 5
    with serving(model) as client:
        rows = [[None if x > 8 else x for x in row] for row in sequence.tolist()]
        (answer,) = client.post("/predict", json={"sequence": rows}).json()["predictions"]
    sequence[sequence > 8] = np.nan
    labels = model.predict([sequence])[0].tolist()
    assert answer["labels"] == labels
    assert [
        label for s in answer["segments"] for label in [s["label"]] * (s["end"] - s["start"])
    ] == labels
    assert all(1 / 3 < segment["probability"] <= 1 for segment in answer["segments"])


def test_a_batch_of_many_features_has_fewer_sequences(model, monkeypatch):
    monkeypatch.setattr(evaluate, "BATCH_VALUES", 4 * 5 * 3)  # of four sequences
    with serving(model) as client:
        body = {"sequences": np.zeros((16, 5, 3)).tolist()}
        answers = client.post("/predict", json=body).json()["predictions"]
        assert len(answers) == 16
        assert value_of(client.get("/metrics").text, "bothways_batch_sequences_count") == 4


class SlowModel:
    """Waits until it is released."""

    def __init__(self, monkeypatch):
        self.release = threading.Event()
        self.begun = threading.Semaphore(0)
        original = RowwiseModel.probabilities

        def probabilities(rowwise, arrays):
            self.begun.release()
            assert self.release.wait(20)
            return original(rowwise, arrays)

        monkeypatch.setattr(RowwiseModel, "probabilities", probabilities)
        monkeypatch.setattr(batching, "AT_ONCE_WORK", 0)  # in a thread


def test_a_full_queue_is_refused(model, monkeypatch):
    slow = SlowModel(monkeypatch)
    with serving(model, Limits(queue=2)) as client, ThreadPoolExecutor(2) as pool:
        accepted = [pool.submit(client.post, "/predict", json=BODY) for _ in range(2)]
        assert slow.begun.acquire(timeout=10)
        while value_of(client.get("/metrics").text, "bothways_held_bytes") < 2 * 24:
            pass
        response = client.post("/predict", json=BODY)
        assert "the server is busy: 2 requests are in progress" in message_of(response, 429)
        assert response.headers["retry-after"] == "1"
        slow.release.set()
        assert [future.result().status_code for future in accepted] == [200, 200]
        assert client.post("/predict", json=BODY).status_code == 200


def test_an_answer_that_takes_too_long_is_refused(model, monkeypatch):
    slow = SlowModel(monkeypatch)
    with serving(model, Limits(seconds=0.3)) as client:
        response = client.post("/predict", json=BODY)
        assert "there was no answer within 0.3 s" in message_of(response, 429)
        slow.release.set()
        assert client.post("/predict", json=BODY).status_code == 200


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"[" * 100_000, "application/json", 422),
        (b"{}", "application/json", 422),
        (b"{}", "text/plain", 415),
        (npz(inputs=np.zeros((1, 500_000, 3), np.float32)), "application/x-npz", 413),
        (b"x" * (1 << 21), "application/json", 413),
        (json.dumps({"sequence": [[0, 0, 0]] * 2000}).encode(), "application/json", 422),
        (json.dumps({"sequences": [[[0, 0, 0]]] * 11}).encode(), "application/json", 422),
        (npz(inputs=np.zeros((11, 1, 3), np.float32)), "application/x-npz", 413),
    ],
    ids=range(8),
)
def test_requests_beyond_the_limits_are_refused(model, content, kind, status):
    with serving(model, Limits(body_bytes=1 << 20, sequences=10, steps=1000)) as client:
        message_of(client.post("/predict", content=content, headers={"Content-Type": kind}), status)
        parts = (content[first : first + 9999] for first in range(0, len(content), 9999))
        headers = {"Content-Type": kind}  # chunked: without Content-Length
        message_of(client.post("/predict", content=parts, headers=headers), status)
        assert client.post("/predict", json=BODY).status_code == 200


def test_a_playback_belongs_to_its_prediction(client):
    (expected,) = client.post("/predict", json=BODY).json()["predictions"]
    found = client.post("/playback", json=BODY).json()
    assert found["prediction"] == expected
    playback = found["playback"]
    assert playback["answer"] == expected["label"]
    assert playback["steps"] == len(BODY["sequence"])
    for name, probability in zip(playback["classes"], playback["whole"], strict=True):
        assert probability == pytest.approx(expected["probabilities"][name], abs=6e-4)


def test_playbacks_and_predictions_at_the_same_time_do_not_disturb_each_other(model, seed):
    generator = np.random.default_rng(seed)
    sequences = [generator.normal(size=(n, 3)).tolist() for n in generator.integers(1, 90, 60)]
    with serving(model) as client:
        alone = [
            client.post(path, json={"sequence": sequence}).json()
            for sequence in sequences
            for path in ("/predict", "/playback")
        ]

    with running(model) as port:

        def ask(job):
            number, path = divmod(job, 2)
            address = f"http://127.0.0.1:{port}/{('predict', 'playback')[path]}"
            return httpx.post(address, json={"sequence": sequences[number]}, timeout=30).json()

        with ThreadPoolExecutor(8) as pool:
            together = list(pool.map(ask, range(2 * len(sequences))))
    assert together == alone


def test_one_sequence_is_played_back(client):
    rows = BODY["sequence"]
    response = client.post("/playback", json={"sequences": [rows, rows]})
    assert "there are 2 sequences; expected one" in message_of(response, 422)
    response = client.post("/playback", json={"sequence": rows * 3000})
    assert "time steps; expected at most 5,000 to play it back" in message_of(response, 413)


def test_answers_that_are_no_numbers_are_errors():
    model = make_model()
    with torch.no_grad():
        model.classifier.linear.weight.fill_(torch.inf)
    with serving(model) as client:
        for path in ("/predict", "/playback"):
            response = client.post(path, json=BODY)
            assert "the probabilities of sequence 0 are not finite" in message_of(response, 422)


def test_requests_for_examples_count_as_requests_in_progress(model):
    started, finish = threading.Event(), threading.Event()

    class Slow:
        available = True

        def get(self):
            started.set()
            finish.wait(20)
            return [{"name": "#0"}]

    with serving(model, Limits(queue=1), examples=Slow()) as client, ThreadPoolExecutor(1) as pool:
        first = pool.submit(client.get, "/examples")
        assert started.wait(20)
        message_of(client.get("/examples"), 429)
        finish.set()
        assert first.result().json() == {"examples": [{"name": "#0"}]}
