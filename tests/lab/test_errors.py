"""The tree drawn above the errors is the tree they form."""

from __future__ import annotations

import inspect
import re

from lab import errors


def test_the_drawing_names_every_error_below_its_base() -> None:
    drawn: dict[str, str] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines()[1:]:  # below the sentence
        match = re.match(r"([│ ├└─]*)([A-Z]\w+)", line)
        if match:
            depth = len(match.group(1)) // 4
            path = [*path[:depth], match.group(2)]
            drawn[match.group(2)] = path[depth - 1] if depth else "Exception"
    classes = [found for _, found in inspect.getmembers(errors, inspect.isclass) if issubclass(found, Exception)]
    assert drawn == {found.__name__: found.__bases__[0].__name__ for found in classes}


def test_texts_say_what_to_do_next() -> None:
    assert str(errors.PortTaken(7071)).endswith("or give another one with --port.")
    assert errors.RequestError.status == 500 and errors.InstanceGone.status == 410
