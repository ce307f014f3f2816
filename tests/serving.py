"""Small models, and real servers for them, in threads of the test's process."""

import contextlib
import io
import threading

import httpx
import numpy as np
import torch

from bothways.config import ModelConfig
from bothways.data.options import DataOptions
from bothways.models.manifest import Manifest, Preprocessing
from bothways.models.trained import trained_model
from bothways.nn.ensemble import make_classifier
from bothways.serve.app import create_app
from bothways.serve.limits import Limits
from bothways.serve.server import listen, server_of

CLASSES = ("calm", "rough", "wild")
BODY = {"sequence": [[0, 1, 2], [3, 4, 5]]}


def make_model(features=(), vocabularies=None, classes=CLASSES, training_range=None, **settings):
    """Return an untrained model with three features, unless `settings` say otherwise."""
    torch.manual_seed(7)
    vocabularies = vocabularies or {}
    reading = DataOptions(categorical=tuple(vocabularies), vocabularies=vocabularies, offsets=())
    if vocabularies:
        settings["categories"] = tuple(len(vocabularies.get(name, ())) for name in features)
    config = ModelConfig(**({"input_size": 3, "num_classes": 3, "hidden_size": 12} | settings))
    classifier = make_classifier(config).eval()
    encoders = [network.encoder for network in classifier.networks]
    for encoder in filter(None, encoders):
        for tokens in encoder.tokens.values():
            tokens.known.fill_(True)
    preprocessing = Preprocessing(features=features, reading=reading, training_range=training_range)
    manifest = Manifest(model=config, classes=classes, preprocessing=preprocessing)
    return trained_model(classifier, manifest)


@contextlib.contextmanager
def running(model, limits=None, **options):
    """Serve a model on a free port; yield the port."""
    limits = limits or Limits()
    app = create_app(model, limits, **options)
    yield_port = threading.Event()
    with listen("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        server = server_of(app, limits, yield_port.set)
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            assert yield_port.wait(20)
            yield port
        finally:
            server.should_exit = True
            thread.join(30)
            assert not thread.is_alive()


@contextlib.contextmanager
def serving(model, limits=None, **options):
    """Serve a model on a free port; yield a client."""
    with (
        running(model, limits, **options) as port,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client,
    ):
        yield client


def npz(**arrays):
    """Return the content of a `.npz` file."""
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    return content.getvalue()


def message_of(response, status):
    """Return the message of an error response, after checks of its form."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert set(response.json()) == {"error"}
    error = response.json()["error"]
    assert error["status"] == status
    message = error["message"]
    assert "\n" not in message
    assert "Traceback" not in message
    assert "/work" not in message
    return message


def value_of(metrics, name):
    """Return the value of a metric in the text of `/metrics`."""
    (line,) = [line for line in metrics.splitlines() if line.startswith(f"{name} ")]
    return float(line.split()[1])
