"""What both drills' commands take as arguments; what makes no sense is refused with the reason."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

Number = TypeVar("Number", int, float)


def within(text: str, number: Callable[[str], Number], least: float, most: float, what: str) -> Number:
    """The text as a number in that range. ArgumentTypeError: it is none."""
    try:
        found = number(text)
    except ValueError:
        found = None
    if found is None or not least <= found <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is not {what} from {least:g} to {most:g}")
    return found


def folder(text: str) -> Path:
    """A folder, which need not exist. ArgumentTypeError: something else is there."""
    found = Path(text)
    if found.exists() and not found.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is a file, not a folder")
    return found
