"""Reads the curl lines of a documentation page, so that tests can send what a reader would."""

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit


@dataclass
class Line:
    """One curl line: what it sends, where."""

    text: str
    method: str = "GET"
    url: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def path(self) -> str:
        return urlsplit(self.url).path


def lines_of(page: Path) -> list[Line]:
    """All curl lines in the page's sh blocks, in order."""
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    return [parse(text) for block in blocks for text in block.splitlines() if text.startswith("curl ")]


def parse(text: str) -> Line:
    """The few options that the page uses; any other is an error, so that none is silently dropped."""
    line = Line(text)
    words = iter(shlex.split(text, posix=True)[1:])
    for word in words:
        if word == "-X":
            line.method = next(words)
        elif word == "-H":
            name, _, value = next(words).partition(": ")
            line.headers[name] = value
        elif word in ("-d", "--data-binary"):
            line.body = _expanded(next(words))
        elif word.startswith("http"):
            line.url = word
        else:
            raise ValueError(f"{word!r} in {text!r}")
    return line


def _expanded(value: str) -> bytes:
    """What the shell makes of $'…': shlex leaves the dollar sign and the backslashes."""
    if value.startswith("$"):
        value = value[1:].replace("\\n", "\n")
    return value.encode()
