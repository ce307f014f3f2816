"""The pages of the documentation, and the code blocks of a page."""

import itertools
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

from sybil import Document
from sybil.parsers.markdown import SkipParser
from sybil.parsers.markdown.lexers import RawFencedCodeBlockLexer

ROOT = Path(__file__).parents[1]
GENERATED = [
    ROOT / "docs" / "reference" / f"{name}.md" for name in ("commands", "recipes", "settings")
]
SITE = {path for path in ROOT.glob("docs/**/*.md") if "build" not in path.parts} - set(GENERATED)
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(SITE)]


@dataclass
class Command:
    """A command of a console block, and the lines that the page shows below it."""

    text: str
    output: list[str] = field(default_factory=list)

    @property
    def words(self):
        return shlex.split(self.text.replace("\\\n", " "), comments=True)


def page_name(path):
    """Return the path of a page, from the root of the repository."""
    return str(path.relative_to(ROOT))


def parse(path, evaluators=None):
    """Return a page as a document of sybil: its blocks, and the comments that skip blocks.

    Each block has the evaluator of its language, or one that does nothing.
    """
    document = Document(path.read_text(), str(path))
    lexer = RawFencedCodeBlockLexer(re.compile(r"(?P<info>[^\n]*)\n"))
    for region in itertools.chain(lexer(document), SkipParser()(document)):
        if is_block(region):
            region.parsed = region.lexemes["source"]
            region.evaluator = (evaluators or {}).get(language_of(region), lambda example: None)
        document.add(region)
    return document


def is_block(region):
    """Return whether a region is a block, and not the comment that skips one."""
    return "info" in (region.lexemes or {})


def language_of(region):
    """Return the language of a block, without the arguments of a directive; "" if it has none."""
    return region.lexemes["info"].strip().partition(" ")[0]


def console_commands(source):
    """Return the commands of a console block."""
    commands, continued = [], False
    for line in source.splitlines():
        if continued:
            assert not line.startswith("$ "), f"{line!r} continues a line; expected no prompt"
            commands[-1].text += "\n" + line
        elif line.startswith("# "):
            continue  # a comment on the next command
        elif line.startswith("$ "):
            commands.append(Command(line.removeprefix("$ ")))
        else:
            assert commands, f"{line!r} precedes the first command; expected '$ ' and a command"
            commands[-1].output.append(line)
        continued = line.endswith("\\") and (continued or line.startswith("$ "))
    return commands
