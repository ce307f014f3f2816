"""Metrics in the text format of Prometheus; each app has a registry of its own."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SEQUENCES = (1, 2, 4, 8, 16, 32, 64, 128)


class ServerMetrics:
    """What the server counts and measures.

    Parameters
    ----------
    num_waiting : callable
        Returns the number of requests that wait for the model.
    held_bytes : callable
        Returns the memory of the requests in progress.
    """

    def __init__(self, num_waiting: Callable[[], int], held_bytes: Callable[[], int]) -> None:
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "bothways_requests",
            "Requests by path and status.",
            ["path", "status"],
            registry=registry,
        )
        self._seconds = Histogram(
            "bothways_request_seconds",
            "Time from the headers of a prediction request to the end of its answer.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._sequences = Counter(
            "bothways_sequences", "Sequences that the model has run on.", registry=registry
        )
        self._steps = Counter(
            "bothways_steps", "Time steps that the model has run on.", registry=registry
        )
        self._batch = Histogram(
            "bothways_batch_sequences",
            "Sequences that were run together.",
            buckets=_SEQUENCES,
            registry=registry,
        )
        waiting = Gauge(
            "bothways_waiting_requests", "Requests that wait for the model.", registry=registry
        )
        waiting.set_function(num_waiting)
        held = Gauge(
            "bothways_held_bytes", "Memory of the requests in progress.", registry=registry
        )
        held.set_function(held_bytes)

    def count_request(self, path: str, status: int, seconds: float) -> None:
        """Count a response; `path` is one of the app, or "other"."""
        self._requests.labels(path, str(status)).inc()
        if path == "/predict":
            self._seconds.observe(seconds)

    def count_batch(self, sequences: int, steps: int) -> None:
        """Count a batch of the model."""
        self._sequences.inc(sequences)
        self._steps.inc(steps)
        self._batch.observe(sequences)

    def text(self) -> bytes:
        """Return all metrics."""
        return generate_latest(self._registry)
