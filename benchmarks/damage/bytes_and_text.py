"""Mutations of any file, as bytes or as text."""

import struct
from collections.abc import Callable
from random import Random
from typing import TypeAlias

Mutation: TypeAlias = Callable[[bytes, Random], bytes]

SIZES = (0, 1, -1, 2**7, 2**15 - 1, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63 - 1)
"""Sizes that overflow, or ask for more memory than there is."""

TOKENS = (
    "", " ", "nan", "inf", "-inf", "1e999", "-1e-999", "1e38", "3.5e38", "-0", "0x10", "1_000",
    "9" * 400, "9" * 5000, "-1", "1.5", "true", "null", "None", "?", "[]", "{}", "[[]]", '"', "'",
    "(", ")", ",", ";", ":", "\t", "\0", "\r", "\n", "\\", "\\n", "\\ud800", "é", "\uff11",
    "\u2028", "\ufeff", "x" * 3000, "[" * 3000, "2026-01-31T09:30:00Z", "9999-99-99", "@data",
    "@end", "%", "#", "label", "test",
)  # fmt: skip
"""Texts with which readers of numbers, tables and JSON may not reckon."""


def truncate(content: bytes, random: Random) -> bytes:
    return content[: random.randrange(len(content))] if content else b""


def flip_bits(content: bytes, random: Random) -> bytes:
    changed = bytearray(content)
    for _ in range(random.choice((1, 1, 2, 8))):
        if changed:
            changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def set_bytes(content: bytes, random: Random) -> bytes:
    start, end = _span(content, random)
    return (
        content[:start]
        + bytes([random.choice((0, 0x7F, 0xFF, 0x22))]) * (end - start)
        + (content[end:])
    )


def remove_bytes(content: bytes, random: Random) -> bytes:
    start, end = _span(content, random)
    return content[:start] + content[end:]


def repeat_bytes(content: bytes, random: Random) -> bytes:
    start, end = _span(content, random)
    return content[:end] + content[start:end] * random.choice((1, 1, 50)) + content[end:]


def swap_bytes(content: bytes, random: Random) -> bytes:
    a, b, c, d = sorted(random.randrange(len(content) + 1) for _ in range(4))
    return content[:a] + content[c:d] + content[b:c] + content[a:b] + content[d:]


def append_bytes(content: bytes, random: Random) -> bytes:
    start, end = _span(content, random)
    return content + random.choice((b"\0", b"\n", b"\xff" * 9, content[start:end]))


def write_size(content: bytes, random: Random) -> bytes:
    """Write a hostile size in 4 or 8 bytes, in one of both orders of bytes."""
    size = random.choice(SIZES)
    form = random.choice(("<I", ">I", "<Q", ">Q"))
    width = struct.calcsize(form)
    packed = struct.pack(form, size % (1 << 8 * width))
    at = random.randrange(len(content) + 1)
    return content[:at] + packed + content[at + width :]


def _span(content: bytes, random: Random) -> tuple[int, int]:
    """Return the edges of a part, mostly a short one."""
    start = random.randrange(len(content) + 1)
    longest = random.choice((1, 4, 16, len(content)))
    return start, min(len(content), start + random.randrange(longest + 1))


def replace_token(content: bytes, random: Random) -> bytes:
    """Replace what stands between two separators."""
    signs = b",;:\t\n ()[]{}\"'@"
    edges = [-1, *(at for at, sign in enumerate(content) if sign in signs), len(content)]
    n = random.randrange(len(edges) - 1)
    token = random.choice(TOKENS).encode("utf-8", "surrogatepass")
    return content[: edges[n] + 1] + token + content[edges[n + 1] :]


def insert_token(content: bytes, random: Random) -> bytes:
    at = random.randrange(len(content) + 1)
    return content[:at] + random.choice(TOKENS).encode("utf-8", "surrogatepass") + content[at:]


def move_lines(content: bytes, random: Random) -> bytes:
    """Remove, repeat or exchange lines."""
    lines = content.splitlines(keepends=True)
    if not lines:
        return content
    a, b = (random.randrange(len(lines)) for _ in range(2))
    what = random.randrange(4)
    if what == 0:
        del lines[a]
    elif what == 1:
        lines.insert(b, lines[a])
    elif what == 2:
        lines[a], lines[b] = lines[b], lines[a]
    else:
        lines = lines[min(a, b) : max(a, b)]
    return b"".join(lines)


def encode(content: bytes, random: Random) -> bytes:
    """Write the text in another encoding, or with other ends of lines."""
    text = content.decode("utf-8", "replace")
    what = random.randrange(4)
    if what == 0:
        return text.encode(random.choice(("utf-16", "utf-32", "utf-16-be", "utf-8-sig")))
    if what == 1:
        return text.replace("\n", random.choice(("\r\n", "\r", "\n\n", "\n \n"))).encode()
    if what == 2:
        return text.replace(",", random.choice((";", "\t", ",,", " ", ", "))).encode()
    return text.replace(".", random.choice((",", "..", "\u066b"))).encode()


BYTES: tuple[Mutation, ...] = (
    truncate,
    flip_bits,
    set_bytes,
    remove_bytes,
    repeat_bytes,
    swap_bytes,
    append_bytes,
    write_size,
)
"""Mutations that know nothing of the format; a checksum must notice each of them."""

TEXT: tuple[Mutation, ...] = (replace_token, insert_token, move_lines, encode)
