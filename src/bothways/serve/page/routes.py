"""The page at `/` and its files, which contain nothing about the model."""

from importlib.resources import files

from fastapi import APIRouter, Response

from bothways.pages.static_files import STATIC_FILES, static_text

_OWN_FILES = ("page.css", "page.js")
_TYPES = {"css": "text/css", "js": "text/javascript"}


def page_routes() -> APIRouter:
    """Return the routes of the page and of its style sheets and scripts."""
    router = APIRouter()
    _add(router, "/", _own_text("index.html"), "text/html")
    for name in (*STATIC_FILES, *_OWN_FILES):
        text = _own_text(name) if name in _OWN_FILES else static_text(name)
        _add(router, f"/static/{name}", text, _TYPES[name.rpartition(".")[2]])
    return router


def _add(router: APIRouter, path: str, text: str, media_type: str) -> None:
    async def send() -> Response:
        return Response(text, media_type=media_type)

    router.add_api_route(path, send, include_in_schema=False)


def _own_text(name: str) -> str:
    return (files("bothways.serve.page") / "static" / name).read_text(encoding="utf-8")
