"""An HTTP server for a trained model.

Here is everything between a connection and the model: limits, tokens, the forms of requests and
answers, the queue, batches of concurrent requests, and metrics. What a model answers belongs to
`bothways.models`.
"""

# ruff: noqa: E402 - say what to install before anything is imported that needs it
from bothways.optional import require

for _package in ("fastapi", "uvicorn", "httptools", "prometheus_client"):
    require(_package, extra="serve", purpose="served models")

from bothways.serve.app import create_app
from bothways.serve.limits import Limits
from bothways.serve.server import serve

__all__ = ["Limits", "create_app", "serve"]
