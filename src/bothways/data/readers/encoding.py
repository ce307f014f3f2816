"""The character encoding of a text file."""

import codecs

_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def encoding_of(start: bytes) -> str:
    """Return the encoding that the byte-order mark at the start of a file states, or UTF-8.

    >>> encoding_of("\ufeffa".encode("utf-16-le"))
    'utf-16'
    """
    return next((name for mark, name in _MARKS.items() if start.startswith(mark)), "utf-8")


def advice_for(start: bytes) -> str:
    """Return how to convert a file that is not UTF-8, and has no byte-order mark."""
    likely = "UTF-16LE" if start[1:2] == b"\0" else "UTF-16BE" if start[:1] == b"\0" else "LATIN1"
    return f"Convert it: iconv -f {likely} -t UTF-8 FILE > NEW (if {likely} is its encoding)."
