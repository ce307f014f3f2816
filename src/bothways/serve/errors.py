"""Errors of requests: a status, and one JSON object for all of them."""

import sys
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi.responses import Response
from pydantic_core import to_json

from bothways.errors import BothwaysError, printable


class RequestError(BothwaysError):
    """A request that is not answered.

    Parameters
    ----------
    status : int
        The HTTP status, 4xx.
    message : str
        One line: what is wrong, what was expected, the next step.
    headers : dict, optional
        Additional headers of the response.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})

    def response(self) -> Response:
        """Return the response to the client."""
        return error_response(self.status, str(self), self.headers)


class ClientGoneError(Exception):
    """The client closed the connection; nobody reads the answer."""


def busy(what: str) -> RequestError:
    """Return the error for a request that would exceed what the server can hold."""
    return RequestError(
        429,
        f"the server is busy: {what}; expected fewer requests at once. Repeat the request later.",
        {"Retry-After": "1"},
    )


def error_response(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return a response with the one form that all errors have."""
    content = error_content(status, message)
    return Response(content, status, dict(headers or {}), "application/json")


def error_content(status: int, message: str) -> bytes:
    """Return the one form of all errors, as JSON."""
    return to_json({"error": {"status": status, "message": message}})


def internal_error(error: BaseException) -> Response:
    """Print an unexpected error in one line, and return a response that reveals nothing of it."""
    print_line(f"internal error: {type(error).__name__}: {error}")
    return error_response(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "the server failed to answer; expected an answer to every valid request. Report this, with "
        "the request.",
    )


def print_line(message: str) -> None:
    """Print one line on standard error, without control characters."""
    print(f"bothways: {printable(' '.join(message.split()))}", file=sys.stderr, flush=True)


def error_schema() -> dict[str, Any]:
    """Return the JSON schema of an error."""
    return {
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["status", "message"],
                "properties": {
                    "status": {"type": "integer"},
                    "message": {
                        "type": "string",
                        "description": "One line: what is wrong, what was expected, the next step.",
                    },
                },
            }
        },
    }
