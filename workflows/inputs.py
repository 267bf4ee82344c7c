"""What a request brings, checked: its JSON body, the id its sender chose, and checks that name field and reason."""

import hashlib
import json
import re
from collections.abc import Iterable
from typing import Any, TypeVar
from uuid import uuid4

import azure.functions as func

from workflows.responses import InvalidInput, Problem, TooLarge

T = TypeVar("T")

BODY_LIMIT_BYTES = 1024 * 1024
CHOSEN_ID_LENGTH = 200
# The Durable extension takes more (blanks, any script), but links to such ids do not work in all its versions.
ID_PATTERN = re.compile(r"[A-Za-z0-9_.:~-][A-Za-z0-9_.:~@-]*")
ID_RULE = "must be letters, digits and - _ . : ~ (and @, not first)"
# The SDK builds objects of application classes from these keys; data from outside must never reach that door.
CLASS_ENVELOPE_KEY = "__class__"


def body(req: func.HttpRequest, limit_bytes: int = BODY_LIMIT_BYTES) -> bytes:
    """The request's body; raises TooLarge above the limit."""
    content: bytes = req.get_body() or b""
    if len(content) > limit_bytes:
        raise TooLarge(f"The body has {len(content)} bytes; this endpoint takes at most {limit_bytes}.")
    return content


def json_body(req: func.HttpRequest, limit_bytes: int = BODY_LIMIT_BYTES) -> Any:
    """The request's JSON, None when there is no body; raises InvalidInput with line and column when it is not JSON."""
    content = body(req, limit_bytes)
    if not content.strip():
        return None
    try:
        value = json.loads(content, parse_constant=_no_constants, parse_float=_finite)
        return _without_class_envelopes(value)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(Problem("body", f"is not usable JSON: {error}")) from error


def _no_constants(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"the number {text} is too large")
    return value


def _without_class_envelopes(value: Any) -> Any:
    if isinstance(value, dict) and CLASS_ENVELOPE_KEY in value:
        raise ValueError(f"the key {CLASS_ENVELOPE_KEY} is reserved")
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for child in children:
        _without_class_envelopes(child)
    return value


def chosen_id(req: func.HttpRequest, workflow: str) -> str:
    """The new instance's id: `?id=`, or one made of the `Idempotency-Key` header and the workflow, or a fresh one.

    Raises InvalidInput for an id that the extension or its links could not carry.
    """
    wanted = req.params.get("id")
    if wanted is not None:
        return checked_id(wanted, "id")
    key = req.headers.get("Idempotency-Key")
    if key:
        return f"{workflow}-{hashlib.sha256(key.encode()).hexdigest()[:32]}"
    return uuid4().hex


def checked_id(value: Any, field: str) -> str:
    """The value as an instance id or event name; raises InvalidInput otherwise."""
    if not isinstance(value, str) or not ID_PATTERN.fullmatch(value):
        raise InvalidInput(Problem(field, ID_RULE))
    if len(value) > CHOSEN_ID_LENGTH:
        raise InvalidInput(Problem(field, f"must have at most {CHOSEN_ID_LENGTH} characters"))
    return value


class Checks:
    """Collects every problem of one JSON value, so that the sender learns all of them at once.

    Each check answers the value when it is right and the given default otherwise; `finish` raises what was found.
    """

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def wrong(self, field: str, reason: str) -> None:
        """Notes one problem."""
        self.problems.append(Problem(field, reason))

    def record(self, value: Any, field: str, known: Iterable[str]) -> dict[str, Any]:
        """A JSON object with no keys but the known ones (a misspelt key must not pass as a missing one)."""
        if not isinstance(value, dict):
            self.wrong(field, "must be a JSON object")
            return {}
        for key in value.keys() - set(known):
            self.wrong(key if field == "body" else f"{field}.{key}", "is not known here")
        return value

    def text(self, value: Any, field: str, default: str | None = None, longest: int = 200) -> str:
        """A string of 1 to `longest` characters that are not all blanks; without a default it is required."""
        if value is None and default is not None:
            return default
        if not isinstance(value, str) or not value.strip() or len(value) > longest:
            self.wrong(field, f"must be a text of 1 to {longest} characters" if value is not None else "is required")
            return ""
        return value.strip()

    def number(
        self, value: Any, field: str, least: float, most: float, default: float | None = None, whole: bool = False
    ) -> Any:
        """A number within limits, whole if asked; true and false are not numbers."""
        if value is None and default is not None:
            return default
        kinds = (int,) if whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds) or not least <= value <= most:
            kind = "a whole number" if whole else "a number"
            self.wrong(field, f"must be {kind} from {least:g} to {most:g}" if value is not None else "is required")
            return least
        return value

    def items(self, value: Any, field: str, most: int) -> list[Any]:
        """A list of 1 to `most` values."""
        if not isinstance(value, list) or not 1 <= len(value) <= most:
            self.wrong(field, f"must be a list of 1 to {most}" if value is not None else "is required")
            return []
        return value

    def one_of(self, value: Any, field: str, choices: Iterable[str], default: str | None = None) -> str:
        """One of a few words."""
        allowed = list(choices)
        if value is None and default is not None:
            return default
        if value not in allowed:
            self.wrong(field, f"must be one of {', '.join(allowed)}")
            return allowed[0]
        return str(value)

    def finish(self, value: T) -> T:
        """The finished value; raises InvalidInput when anything was wrong."""
        if self.problems:
            raise InvalidInput(*self.problems)
        return value
