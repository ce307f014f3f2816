"""Generated text within a page of the documentation."""

from pathlib import Path

END = "<!-- end -->"


def fill(page: Path, source: str, text: str) -> None:
    """Replace what is between `<!-- source -->` and the next `<!-- end -->` of a page."""
    begin = f"<!-- {source} -->\n"
    before, found, rest = page.read_text().partition(begin)
    _, end, after = rest.partition(END)
    if not (found and end):
        raise SystemExit(f"{page} has no text between {begin.strip()} and {END}")
    page.write_text(f"{before}{begin}{text}\n{END}{after}")
