"""Benchmark `bothways serve` against a plain FastAPI and torch.nn script with the same model.

    python benchmarks/serving.py                     # 100,000 requests to each side
    python benchmarks/serving.py --requests 3000     # a first impression, which is not recorded
    python benchmarks/serving.py --page              # only write the table again

The parity gate comes first: both sides must give the same probabilities for the same digits. Then
clients in a process of their own, each with one connection, send single digits of MNIST as JSON;
each waits for its answer before it sends the next. The two servers run at the same time, but only
one has clients, alternating A B A B. The record is written to benchmarks/records/, the table to
docs/guides/serve.md. Close other programs first.
"""

import argparse
import asyncio
import gc
import json
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from machine import describe_machine
from page_tables import fill
from serving_plain import PlainModel

from bothways import ModelConfig, SequenceClassifier, open_dataset
from bothways.models.manifest import Manifest
from bothways.models.trained import trained_model

HERE = Path(__file__).parent
RECORD = HERE / "records" / "serving.json"
PAGE = HERE.parent / "docs" / "guides" / "serve.md"
CLIENTS = (1, 8, 64)
SIDES = ("bothways", "plain")
ROUNDS = 5
WARM_UP = 200
DIGITS = 64
TOLERANCE = 2e-6  # guarantee 1
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def save_models(folder: Path) -> None:
    """Write the same weights for both sides."""
    torch.manual_seed(0)
    config = ModelConfig(input_size=28, num_classes=10, hidden_size=64, num_layers=2)
    classifier = SequenceClassifier(config).eval()
    manifest = Manifest(model=config, classes=tuple("0123456789"))
    trained_model(classifier, manifest).save(folder / "run")
    plain = PlainModel()
    plain.lstm.load_state_dict(classifier.layers.state_dict())
    plain.linear.load_state_dict(classifier.linear.state_dict())
    torch.save(plain.state_dict(), folder / "plain.pt")


def bodies() -> list[bytes]:
    """Return the bodies of the requests: one digit each."""
    digits = open_dataset("mnist").train.batch(range(DIGITS)).inputs
    rows = np.asarray(digits).round(4).astype(float).tolist()
    return [json.dumps({"sequence": sequence}).encode() for sequence in rows]


@contextmanager
def servers(folder: Path) -> Iterator[dict[str, int]]:
    """Start both sides; yield their ports."""
    ports = {side: _free_port() for side in SIDES}
    serve = [sys.executable, "-m", "bothways", "serve", str(folder / "run")]
    plain = [sys.executable, str(HERE / "serving_plain.py"), str(folder / "plain.pt")]
    processes = [
        subprocess.Popen([*serve, "--port", str(ports["bothways"])], stdout=subprocess.DEVNULL),
        subprocess.Popen([*plain, str(ports["plain"])]),
    ]
    try:
        for port in ports.values():
            _wait_for(port)
        yield ports
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


def _wait_for(port: int) -> None:
    for _ in range(600):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/ready").close()
            return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(f"nothing answers at port {port}")


def check_parity(ports: dict[str, int]) -> None:
    """Raise an error unless both sides give the same probabilities."""
    for body in bodies():
        found = []
        for port in ports.values():
            headers = {"Content-Type": "application/json"}
            request = urllib.request.Request(f"http://127.0.0.1:{port}/predict", body, headers)
            with urllib.request.urlopen(request) as response:
                (answer,) = json.load(response)["predictions"]
            found.append(np.array(list(answer["probabilities"].values())))
        if np.abs(found[0] - found[1]).max() > TOLERANCE:
            raise SystemExit(f"the sides differ: {found}")


def send(port: int, clients: int, count: int) -> dict[str, Any]:
    """Send `count` requests from some clients; return rate, latencies in ms and errors."""
    latencies: list[float] = []
    contents = bodies()
    gc.disable()  # a collection takes 0.1 s, because torch is imported

    async def client(first: int, connection: Connection) -> int:
        reader, writer = connection
        errors = 0
        for n in range(first, count, clients):
            body = contents[n % len(contents)]
            head = f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n"
            begin = time.perf_counter()
            writer.write(head.encode() + b"Content-Type: application/json\r\n\r\n" + body)
            answer = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = re.search(rb"content-length: (\d+)", answer)
            assert length is not None
            content = await reader.readexactly(int(length[1]))
            latencies.append(1000 * (time.perf_counter() - begin))
            errors += not answer.startswith(b"http/1.1 200") or b'"label"' not in content
        writer.close()
        return errors

    async def run() -> tuple[int, float]:
        connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(clients)]
        begin = time.perf_counter()
        errors = await asyncio.gather(*(client(n, one) for n, one in enumerate(connections)))
        return sum(errors), time.perf_counter() - begin

    errors, seconds = asyncio.run(run())
    assert len(latencies) == count
    p50, p99 = np.percentile(latencies, [50, 99]).round(3).tolist()
    return {"per_second": round(count / seconds, 1), "p50": p50, "p99": p99, "errors": errors}


def measure(requests: int) -> dict[str, Any]:
    samples: dict[str, dict[str, list[Any]]] = {
        str(clients): {side: [] for side in SIDES} for clients in CLIENTS
    }
    count = -(-requests // (ROUNDS * len(CLIENTS)))
    with tempfile.TemporaryDirectory() as folder:
        save_models(Path(folder))
        with servers(Path(folder)) as ports:
            check_parity(ports)
            for port in ports.values():
                _send_in_child(port, 8, WARM_UP)
            for _ in range(ROUNDS):
                for clients in CLIENTS:
                    for side, port in ports.items():
                        sample = _send_in_child(port, clients, count)
                        samples[str(clients)][side].append(sample)
                        print(clients, side, sample, flush=True)
    return {
        "machine": describe_machine(),
        "requests": count * ROUNDS * len(CLIENTS),
        "samples": samples,
    }


def _send_in_child(port: int, clients: int, count: int) -> Any:
    command = [sys.executable, __file__, "--send", *map(str, (port, clients, count))]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)


def table(record: dict[str, Any]) -> str:
    """Return the medians over the rounds as Markdown."""
    machine = record["machine"]
    errors = {
        side: sum(one["errors"] for sides in record["samples"].values() for one in sides[side])
        for side in SIDES
    }
    lines = [
        f"{machine['processor']}, {machine['cores']} cores, shared with the clients; "
        f"{record['requests']:,} requests to each side, {errors['bothways']} errors of bothways, "
        f"{errors['plain']} of the plain script. Medians of {ROUNDS} rounds.",
        "",
        "| clients | side | requests/s | p50 ms | p99 ms |",
        "|---|---|---|---|---|",
    ]
    for clients, sides in record["samples"].items():
        for side, rounds in sides.items():
            rate, p50, p99 = (median(one[name] for one in rounds) for name in _COLUMNS)
            name = "`bothways serve`" if side == "bothways" else "FastAPI + torch.nn"
            lines.append(f"| {clients} | {name} | {rate:,.0f} | {p50:.2f} | {p99:.2f} |")
    return "\n".join(lines)


_COLUMNS = ("per_second", "p50", "p99")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=100_000, help="to each side")
    parser.add_argument("--page", action="store_true", help="only write the table")
    parser.add_argument("--send", nargs=3, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.send:
        print(json.dumps(send(*options.send)))
        return
    if not options.page:
        record = measure(options.requests)
        if options.requests < 100_000:
            print(table(record))
            return
        RECORD.write_text(json.dumps(record, indent=1) + "\n")
    fill(PAGE, "benchmarks/serving.py", table(json.loads(RECORD.read_text())))


if __name__ == "__main__":
    main()
