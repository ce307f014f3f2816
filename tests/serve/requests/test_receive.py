import asyncio

import pytest

from bothways.serve.errors import ClientGoneError, RequestError
from bothways.serve.limits import Limits
from bothways.serve.requests.receive import HeldMemory, read_body

LIMITS = Limits(body_bytes=100, queue=2, held_bytes=150, client_seconds=0.05)


def receive(*parts, ends=True):
    waiting = list(parts)

    async def next_part():
        if waiting:
            part = waiting.pop(0)
            if part is None:
                return {"type": "http.disconnect"}
            more = bool(waiting) or not ends
            return {"type": "http.request", "body": part, "more_body": more}
        await asyncio.sleep(10)
        raise AssertionError

    return next_part


def read(part_source, memory=None, **headers):
    memory = memory or HeldMemory(LIMITS)

    async def main():
        with memory.admit() as holding:
            return await read_body(headers, part_source, LIMITS, holding)

    return asyncio.run(main())


def refused(status, match, *arguments, **headers):
    with pytest.raises(RequestError, match=match) as error:
        read(*arguments, **headers)
    assert error.value.status == status


def test_parts_are_joined():
    assert read(receive(b"a" * 60, b"", b"b" * 40)) == b"a" * 60 + b"b" * 40


def test_a_declared_size_is_refused_before_the_body_is_read():
    headers = {"content-length": "101"}
    refused(413, "the body is too large; expected at most 100 bytes", receive(), **headers)


def test_a_body_without_declared_size_is_limited_while_it_is_read():
    refused(413, "the body is too large", receive(b"a" * 60, b"b" * 60, b"c" * 60))


def test_a_slow_body_is_refused():
    refused(408, "did not arrive within 0.05 s", receive(b"a", ends=False))


def test_a_compressed_body_is_refused():
    headers = {"content-encoding": "gzip"}
    refused(415, "Content-Encoding is 'gzip'; expected none", receive(b"a"), **headers)


def test_a_client_may_leave():
    with pytest.raises(ClientGoneError):
        read(receive(b"a", None, ends=False))


def test_requests_and_their_memory_are_limited_together():
    memory = HeldMemory(LIMITS)
    with memory.admit() as first:
        first.set(90)
        refused(
            429, "the requests in progress take 120 bytes", receive(b"a" * 30, b"b" * 40), memory
        )
        assert memory.held_bytes == 90
        with memory.admit(), pytest.raises(RequestError, match="2 requests are in progress"):
            memory.admit()
        first.set(10)
        assert read(receive(b"a" * 70), memory) == b"a" * 70
    assert (memory.requests, memory.held_bytes) == (0, 0)
