"""Names and text of a model in C source: identifiers, string literals and comments."""

import re


def c_prefix(stem: str) -> str:
    """Return the prefix of the public names, from the name of the file without its suffix.

    Examples
    --------
    >>> c_prefix("gesture"), c_prefix("Fall-detection 2"), c_prefix("9 axes"), c_prefix("é")
    ('gesture', 'fall_detection_2', 'model_9_axes', 'model')
    """
    name = re.sub(r"[^a-z0-9]+", "_", stem.lower()).strip("_")
    if not name:
        return "model"
    return f"model_{name}" if name[0].isdigit() else name


def c_string(text: str) -> str:
    r"""Return a string literal with the UTF-8 bytes of a text; the literal is pure ASCII.

    Octal escapes have three digits, so that a digit may follow them. Question marks are escaped
    because two of them may begin a trigraph.

    Examples
    --------
    >>> print(c_string('sit "down" ü?'))
    "sit \"down\" \303\274\?"
    """
    return f'"{"".join(_escaped(byte) for byte in text.encode())}"'


def _escaped(byte: int) -> str:
    character = chr(byte)
    if character in '"\\?':
        return f"\\{character}"
    return character if 32 <= byte < 127 else f"\\{byte:03o}"


def c_comment(text: str) -> str:
    r"""Return a text that may stand inside a comment: printable ASCII that does not end it.

    Examples
    --------
    >>> print(c_comment("a */ b\n é"))
    a * / b\n \xe9
    """
    text = text.encode("unicode_escape").decode()
    text = re.sub(r"\*(?=/)|/(?=\*)", r"\g<0> ", text)
    return re.sub(r"\?(?=\?)", "? ", text)
