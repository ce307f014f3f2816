"""Names that users have chosen, in Markdown and in YAML: classes, features, data."""

import json
import re
from collections.abc import Sequence

from bothways.errors import printable

_LONGEST = 80
_NAMES_SHOWN = 20
_NOT_IN_YAML = re.compile("[\x7f-\xa0\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")


def code(name: str) -> str:
    """Return a name as inline code, in one line and shortened if it is long.

    Examples
    --------
    >>> print(code("walk"), code("`<b>`"))
    `walk` `` `<b>` ``
    """
    text = printable(name)
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST - 1]}…"
    fence = "`" * (max(map(len, re.findall("`+", text)), default=0) + 1)
    # CommonMark removes one space from each side.
    pad = " " if not text.strip() or text[0] in "` " or text[-1] in "` " else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def code_list(names: Sequence[str], shown: int = _NAMES_SHOWN) -> str:
    """Return the first names as inline code, and how many others there are.

    Examples
    --------
    >>> print(code_list(["a", "b", "c"], shown=2))
    `a`, `b` and 1 more
    """
    listed = ", ".join(map(code, names[:shown]))
    return listed if len(names) <= shown else f"{listed} and {len(names) - shown:,} more"


def yaml_text(text: str) -> str:
    r"""Return a text as a double-quoted YAML scalar in one line.

    JSON strings are YAML, except for some characters that JSON does not escape: YAML forbids them,
    or ends a line there.

    Examples
    --------
    >>> print(yaml_text("yes: no\n"))
    "yes: no\n"
    """
    return _NOT_IN_YAML.sub(_escape, json.dumps(text, ensure_ascii=False))


def _escape(match: re.Match[str]) -> str:
    number = ord(match[0])
    return "\\ufffd" if 0xD800 <= number <= 0xDFFF else f"\\u{number:04x}"
