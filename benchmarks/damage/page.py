"""Write figures into a page, between two markers."""

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
ROBUSTNESS = DOCS / "explanation" / "robustness.md"
RESUME = DOCS / "explanation" / "resume.md"


def write_marked(page: Path, name: str, text: str) -> None:
    """Replace what stands between `<!-- name -->` and `<!-- end -->` in a page."""
    pattern = rf"(<!-- {re.escape(name)} -->\n).*?(<!-- end -->)"
    content, count = re.subn(
        pattern, lambda found: f"{found[1]}{text}\n{found[2]}", page.read_text(), flags=re.DOTALL
    )
    if count != 1:
        raise ValueError(f"{page} has {count} places for {name}; expected one.")
    page.write_text(content)
