"""The style sheets and scripts of the pages."""

from importlib.resources import files

STATIC_FILES = ("style.css", "playback.css", "playback.js")


def static_text(name: str) -> str:
    """Return the text of one of `STATIC_FILES`."""
    return (files("bothways.pages") / "static" / name).read_text(encoding="utf-8")
