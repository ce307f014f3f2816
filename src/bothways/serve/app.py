"""The ASGI app: its routes, and the way of a prediction through limits, queue and model."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from typing import Any, TypeVar

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from bothways.models.trained import TrainedModel
from bothways.serve.access import Token
from bothways.serve.answers import card, predictions
from bothways.serve.batching import Batcher
from bothways.serve.description import (
    describe_errors,
    describe_model,
    describe_playback,
    describe_predict,
)
from bothways.serve.documentation import documentation_page, style_sheet
from bothways.serve.errors import ClientGoneError, RequestError, busy, error_response
from bothways.serve.gate import Gate
from bothways.serve.limits import Limits
from bothways.serve.metrics import ServerMetrics
from bothways.serve.page.examples import RunExamples
from bothways.serve.page.playing import check_playable, played
from bothways.serve.page.routes import page_routes
from bothways.serve.requests.forms import RequestForm
from bothways.serve.requests.read import JSON, reader_of
from bothways.serve.requests.receive import HeldMemory, Holding, Receive, read_body
from bothways.serve.rows import Floats, RowwiseModel

T = TypeVar("T")

PUBLIC_PATHS = ("/health", "/ready", "/favicon.ico")
"""Paths that need no token."""

_AT_ONCE_BYTES = 1 << 16  # larger bodies and answers are converted in a thread
_WATCH_SECONDS = 0.1  # after this time, a waiting request notices that its client has gone


class PredictionService:
    """The way of a request from its body to its answer.

    Parameters
    ----------
    model : TrainedModel
    limits : Limits
    """

    def __init__(self, model: TrainedModel, limits: Limits) -> None:
        self.limits = limits
        self.manifest = model.manifest
        self.form = RequestForm(model.manifest, limits)
        self.memory = HeldMemory(limits)
        self.metrics = ServerMetrics(
            lambda: self.batcher.num_waiting, lambda: self.memory.held_bytes
        )
        rowwise = RowwiseModel(model.classifier)
        self.batcher = Batcher(rowwise, self.metrics.count_batch)
        self._model = model
        self._options = model.manifest.preprocessing.reading.for_use()
        self._converter = ThreadPoolExecutor(1, thread_name_prefix="bothways-convert")
        self._player = ThreadPoolExecutor(1, thread_name_prefix="bothways-playback")

    @asynccontextmanager
    async def running(self, app: Any) -> AsyncIterator[None]:
        """At the end, answer what has been accepted."""
        try:
            yield
        finally:
            await self.batcher.stop()
            self._converter.shutdown()
            self._player.shutdown()

    async def predict(self, request: Request) -> Response:
        """Return the answer to a request.

        Raises
        ------
        RequestError, ClientGoneError
            See `read_body`, `reader_of` and the functions that it returns; and 429 if the answer
            takes too long.
        """

        async def predicted(arrays: Sequence[Floats]) -> bytes:
            size_bytes = sum(array.nbytes for array in arrays)
            found = await self._wait(self.batcher.submit(arrays), request.receive)
            return await self._convert(size_bytes, predictions, self.manifest, found)

        return await self._respond(request, predicted)

    async def play(self, request: Request) -> Response:
        """Return the prediction and the playback of one sequence.

        Raises
        ------
        RequestError, ClientGoneError
            As `predict`, and see `check_playable`.
        """

        async def playback(arrays: Sequence[Floats]) -> bytes:
            check_playable(arrays)
            loop = asyncio.get_running_loop()
            future = loop.run_in_executor(self._player, played, self._model, arrays)
            return await self._wait(future, request.receive)

        return await self._respond(request, playback)

    async def examples(self, examples: RunExamples, request: Request) -> list[dict[str, Any]]:
        """Return examples of the data; one thread makes them, once for all requests.

        Raises
        ------
        RequestError, ClientGoneError
            429 if there are too many requests, or that takes too long; the next request may find
            them ready.
        """
        loop = asyncio.get_running_loop()
        with self.memory.admit():
            future = loop.run_in_executor(self._player, examples.get)
            return await self._wait(future, request.receive)

    async def _respond(
        self, request: Request, answer: Callable[[Sequence[Floats]], Awaitable[bytes]]
    ) -> Response:
        """Read a request within the limits, and return its answer as JSON."""
        read = reader_of(request.headers.get("content-type", ""), self.form, self._options)
        with ExitStack() as stack:
            holding = stack.enter_context(self.memory.admit())
            body = await read_body(request.headers, request.receive, self.limits, holding)
            arrays = await self._convert(len(body), read, body)
            del body
            holding.set(sum(array.nbytes for array in arrays))
            content = await answer(arrays)
            holding.set(len(content))
            stack.pop_all()
            return _HeldResponse(content, holding)

    async def _convert(self, size_bytes: int, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function; for much data, in a thread, so that other requests do not wait."""
        if size_bytes <= _AT_ONCE_BYTES:
            return function(*arguments)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._converter, function, *arguments)

    async def _wait(self, future: asyncio.Future[T], receive: Receive) -> T:
        """Wait for the model, but not longer than the client does or the limit allows."""
        try:
            soon = min(_WATCH_SECONDS, self.limits.seconds)
            done, _ = await asyncio.wait({future}, timeout=soon)
            if not done:
                await self._wait_or_leave(future, receive, self.limits.seconds - soon)
            return future.result()
        finally:
            future.cancel()

    async def _wait_or_leave(
        self, future: asyncio.Future[Any], receive: Receive, seconds: float
    ) -> None:
        leaving = asyncio.ensure_future(_disconnected(receive))
        try:
            done, _ = await asyncio.wait(
                {future, leaving}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            leaving.cancel()
        if leaving in done:
            raise ClientGoneError
        if not done:
            raise busy(f"there was no answer within {self.limits.seconds:g} s")


class _HeldResponse(Response):
    """A response whose memory counts until it is sent."""

    def __init__(self, content: bytes, holding: Holding) -> None:
        super().__init__(content, media_type=JSON)
        self._holding = holding

    async def __call__(self, *arguments: Any) -> None:
        try:
            await super().__call__(*arguments)
        finally:
            self._holding.__exit__()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


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
