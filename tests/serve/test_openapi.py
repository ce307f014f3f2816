"""Requests that schemathesis derives from the OpenAPI description, valid and invalid ones."""

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance
from serving import make_model, running

from bothways.serve.app import create_app
from bothways.serve.limits import Limits

LIMITS = Limits(sequences=3, steps=1000)
MODELS = {
    "plain": make_model(),
    "steps": make_model(readout="step", missing="mean"),
    "categories": make_model(
        features=("x", "event", "y"), vocabularies={"event": ("open", "close")}
    ),
}
MODES = {"valid": GenerationMode.POSITIVE, "invalid": GenerationMode.NEGATIVE}
OPERATIONS = [
    ("plain", "GET", path, "valid") for path in ("/model", "/health", "/ready", "/metrics")
]
OPERATIONS += [(name, "POST", "/predict", mode) for name in MODELS for mode in MODES]
OPERATIONS += [(name, "POST", "/playback", mode) for name in ("plain", "steps") for mode in MODES]


@pytest.fixture(scope="module")
def ports():
    with (
        running(MODELS["plain"], LIMITS) as plain,
        running(MODELS["steps"], LIMITS) as steps,
        running(MODELS["categories"], LIMITS) as categories,
    ):
        yield {"plain": plain, "steps": steps, "categories": categories}


@pytest.mark.parametrize(("name", "method", "path", "mode"), OPERATIONS)
def test_the_description_holds(ports, name, method, path, mode):
    """No server errors; statuses, content types and contents of responses are as described."""
    schema = schemathesis.openapi.from_dict(create_app(MODELS[name], LIMITS).openapi())
    statuses = set()

    @settings(
        max_examples=40 if method == "POST" else 3,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(schema[path][method].as_strategy(generation_mode=MODES[mode]))
    def check(case):
        response = case.call(base_url=f"http://127.0.0.1:{ports[name]}")
        is_json = case.media_type in (None, "application/json")  # no schema describes .npz files
        case.validate_response(
            response, excluded_checks=[] if is_json else [positive_data_acceptance]
        )
        statuses.add(response.status_code)

    check()
    if method == "GET":
        assert statuses == {200}
    else:
        assert 200 in statuses if mode == "valid" else statuses & {413, 415, 422}
    assert max(statuses) < 500
