"""The ASGI app: its routes, its token and its error responses."""

from fastapi import APIRouter, FastAPI, Request, Response, WebSocket
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from bothways.models.trained_model import TrainedModel
from bothways.serve.access import Token
from bothways.serve.answers import card
from bothways.serve.description import (
    describe_errors,
    describe_model,
    describe_playback,
    describe_predict,
)
from bothways.serve.documentation import documentation_page, style_sheet
from bothways.serve.errors import RequestError, error_response
from bothways.serve.gate import Gate
from bothways.serve.limits import Limits
from bothways.serve.page.examples import RunExamples
from bothways.serve.page.routes import page_routes
from bothways.serve.service import PredictionService

PUBLIC_PATHS = ("/health", "/ready", "/favicon.ico")
"""Paths that need no token."""


def create_app(
    model: TrainedModel,
    limits: Limits | None = None,
    *,
    token: Token | None = None,
    hosts: frozenset[str] | None = None,
    examples: RunExamples | None = None,
) -> FastAPI:
    """Return the ASGI app that serves a model.

    Parameters
    ----------
    model : TrainedModel
        Its classifier is in eval mode, on the CPU.
    limits : Limits, optional
    token : Token, optional
        All paths but `PUBLIC_PATHS` and those of the page need it.
    hosts : frozenset of str, optional
        Allowed names in the header `Host`, see `allowed_hosts`; default: any.
    examples : RunExamples, optional
        Sequences that the page can show.

    Examples
    --------
    >>> from fastapi.testclient import TestClient
    >>> from bothways import load
    >>> with TestClient(create_app(load("runs/gestures"))) as client:
    ...     answer = client.post("/predict", json={"sequences": [[[0, 0, 0], [1, 0, 0]]]})
    >>> [prediction["label"] for prediction in answer.json()["predictions"]]
    ['circle']
    """
    service = PredictionService(model, limits or Limits())
    app = FastAPI(
        title="bothways model",
        version=model.manifest.provenance.versions.get("bothways", "unknown"),
        description=describe_model(model.manifest),
        docs_url=None,
        redoc_url=None,
        lifespan=service.running,
    )
    routes, page = _routes(app, service, examples), page_routes()
    app.include_router(routes)
    app.include_router(page)

    @app.websocket("/{path:path}")
    async def _no_socket(socket: WebSocket) -> None:
        raise RequestError(404, "this path has no WebSocket; expected /stream. Check the path.")

    if token is not None:
        _require_token(app)
    app.add_middleware(
        Gate,
        metrics=service.metrics,
        paths={*_paths(routes), *_paths(page), "/openapi.json"},
        public={*PUBLIC_PATHS, *_paths(page)},
        token=token,
        hosts=hosts,
    )
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestError, _request_error)
    return app


def _routes(app: FastAPI, service: PredictionService, examples: RunExamples | None) -> APIRouter:
    router = APIRouter()
    predict = describe_predict(service.manifest, service.form)
    play = describe_playback(service.form)
    of_model = card(service.manifest, has_examples=examples is not None and examples.available)
    every = describe_errors(401, 421)

    @router.post("/predict", summary="Predict", openapi_extra=predict, responses=None)
    async def _predict(request: Request) -> Response:
        return await service.predict(request)

    @router.post("/playback", summary="Predict while reading", openapi_extra=play, responses=None)
    async def _playback(request: Request) -> Response:
        return await service.play(request)

    @router.websocket("/stream")
    async def _stream(socket: WebSocket) -> None:
        await service.streams.answer(socket)

    @router.get("/stream", include_in_schema=False)
    async def _not_a_socket() -> Response:
        return error_response(
            426,
            "this path answers WebSockets only; expected one. Use the scheme ws.",
            {"Upgrade": "websocket"},
        )

    @router.get("/examples", include_in_schema=False)
    async def _examples(request: Request) -> JSONResponse:
        found = [] if examples is None else await service.examples(examples, request)
        return JSONResponse({"examples": found})

    @router.get("/model", summary="Describe the model", openapi_extra={"responses": every})
    async def _model() -> JSONResponse:
        return JSONResponse(of_model)

    @router.get("/health", summary="Whether the process runs")
    async def _health() -> JSONResponse:
        return JSONResponse({"status": "ok"})

    @router.get("/ready", summary="Whether requests are answered")
    async def _ready() -> Response:
        if service.batcher.is_running:
            return JSONResponse({"status": "ready"})
        return error_response(503, "the server stops; expected a running one. Start it again.")

    @router.get(
        "/metrics",
        summary="Metrics for Prometheus",
        response_class=Response,
        openapi_extra={"responses": every | {"200": {"content": {"text/plain": {}}}}},
    )
    async def _metrics() -> Response:
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")

    @router.get("/docs", include_in_schema=False)
    async def _docs() -> Response:
        return Response(documentation_page(app.openapi()), media_type="text/html")

    @router.get("/docs.css", include_in_schema=False)
    async def _style() -> Response:
        return Response(style_sheet(), media_type="text/css")

    @router.get("/favicon.ico", include_in_schema=False)
    async def _icon() -> Response:
        return Response(status_code=204)  # browsers ask for it and report a missing one

    return router


def _paths(router: APIRouter) -> set[str]:
    return {str(getattr(route, "path", "")) for route in router.routes}


def _require_token(app: FastAPI) -> None:
    """Add the token to the OpenAPI description."""
    described = app.openapi()
    described.setdefault("components", {})["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer"}
    }
    for path, methods in described["paths"].items():
        if path not in PUBLIC_PATHS:
            for operation in methods.values():
                operation["security"] = [{"token": []}]


async def _http_error(_: Request, error: Exception) -> Response:
    """Answer to an unknown path or method."""
    assert isinstance(error, HTTPException)
    advice = {
        404: "this path does not exist; expected one of those in /docs. Check the path.",
        405: "this path has no such method; expected one of those in /docs. Check the method.",
    }
    return error_response(
        error.status_code, advice.get(error.status_code, str(error.detail)), error.headers
    )


async def _request_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return error.response()
