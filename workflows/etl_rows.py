"""What the ETL knows of rows: where records end, what a good customer looks like, and what is wrong with a bad one.

Plain functions of bytes and values; nothing here reads a blob or a clock.
"""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator
from decimal import Decimal, InvalidOperation
from typing import Any

from workflows.responses import InvalidInput, Problem

COLUMNS = ("id", "name", "email", "amount", "country")
EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
COUNTRY = re.compile(r"[A-Z]{2}")
MOST_LINES_OF_A_RECORD = 100
REASONS_SHOWN = 20
MOST_CENTS = Decimal(10) ** 12
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class BadRow(ValueError):
    """A row that cannot be loaded; the text says why."""


def check_source(content: bytes, kind: str) -> None:
    """Raises InvalidInput for a source that cannot even be begun: empty, not UTF-8 at its head, without the columns."""
    if not content.strip():
        raise InvalidInput(Problem("body", "is empty"))
    if kind == "csv":
        header, _ = _header(content)
        missing = [column for column in COLUMNS if column not in _columns(header)]
        if missing:
            raise InvalidInput(Problem("body", f"lacks the columns {', '.join(missing)}"))


def _columns(header: str) -> list[str]:
    return [column.strip().lower() for column in next(csv.reader([header]), [])]


def _header(content: bytes) -> tuple[str, int]:
    """The first line as text, and where the second begins."""
    end = content.find(b"\n") + 1 or len(content)
    return content[:end].removeprefix(BYTE_ORDER_MARK).decode("utf-8", "replace").rstrip("\r\n"), end


def _records(content: bytes, start: int, kind: str) -> Iterator[tuple[int, int]]:
    """Each record's end and how many lines it spans."""
    while start < len(content):
        start, lines = _record_end(content, start, kind)
        yield start, lines


def _record_end(content: bytes, start: int, kind: str) -> tuple[int, int]:
    """Where the record ends: a line break inside an odd number of quotes ends nothing.

    A quote that nothing closes within a hundred lines is a stray one; then its line is the record.
    """
    first = end = content.find(b"\n", start) + 1 or len(content)
    quotes = content.count(b'"', start, end) if kind == "csv" else 0
    lines = 1
    while quotes % 2 and end < len(content) and lines < MOST_LINES_OF_A_RECORD:
        begin, end = end, content.find(b"\n", end) + 1 or len(content)
        quotes += content.count(b'"', begin, end)
        lines += 1
    return (first, 1) if quotes % 2 else (end, lines)


def ranges(content: bytes, kind: str, rows_per_part: int) -> list[dict[str, Any]]:
    """The source cut at ends of records: each part's `start`, `length`, first `line` (from 1) and the `header`."""
    header, begin = _header(content) if kind == "csv" else ("", 0)
    parts: list[dict[str, Any]] = []
    start, count = begin, 0
    first = line = 2 if kind == "csv" else 1
    for end, lines in _records(content, begin, kind):
        count, line = count + 1, line + lines
        if count == rows_per_part or end == len(content):
            parts.append({"start": start, "length": end - start, "line": first, "header": header})
            start, first, count = end, line, 0
    return parts


def clean(content: bytes, kind: str, header: str, line: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The good rows and the bad rows of one part, each with its line in the source."""
    good: list[dict[str, Any]] = []
    bad: list[dict[str, Any]] = []
    for number, text in _texts(content, kind, line):
        try:
            good.append({"line": number, **customer(_parse(text, kind, header))})
        except BadRow as error:
            bad.append({"line": number, "reason": str(error), "row": text.strip()})
    return good, bad


def _texts(content: bytes, kind: str, line: int) -> Iterator[tuple[int, str]]:
    start = 0
    for end, lines in _records(content, 0, kind):
        record = content[start:end]
        if record.strip():
            yield line, record.decode("utf-8", "replace")
        start, line = end, line + lines


def _parse(text: str, kind: str, header: str) -> dict[str, Any]:
    if "\ufffd" in text:
        raise BadRow("is not UTF-8")
    if kind == "jsonl":
        return _parse_json(text)
    columns = _columns(header)
    try:
        fields = next(csv.reader(io.StringIO(text), strict=True))
    except csv.Error as error:
        raise BadRow(f"is not CSV: {error}") from error
    if len(fields) != len(columns):
        raise BadRow(f"has {len(fields)} fields, not {len(columns)}")
    return dict(zip(columns, fields, strict=True))


def _parse_json(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadRow(f"is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise BadRow("is not a JSON object")
    return value


def customer(row: dict[str, Any]) -> dict[str, Any]:
    """The row as a customer with its fields in their one form; raises BadRow with everything that is wrong."""
    fields = {column: str(row.get(column) if row.get(column) is not None else "").strip() for column in COLUMNS}
    wrong = [f"{column} is missing" for column in COLUMNS if not fields[column]]
    email, country = fields["email"].lower(), fields["country"].upper()
    if email and not EMAIL.fullmatch(email):
        wrong.append(f"email {email!r} is not an address")
    if country and not COUNTRY.fullmatch(country):
        wrong.append(f"country {country!r} is not a two-letter code")
    cents = _cents(fields["amount"])
    if fields["amount"] and cents is None:
        wrong.append(f"amount {fields['amount']!r} is not money")
    if wrong:
        raise BadRow("; ".join(wrong))
    return {"id": fields["id"], "name": fields["name"], "email": email, "cents": cents, "country": country}


def _cents(text: str) -> int | None:
    try:
        amount = Decimal(text) * 100
        if not amount.is_finite() or abs(amount) > MOST_CENTS or amount != amount.to_integral_value():
            return None
    except (InvalidOperation, ValueError):
        return None
    return int(amount)


def first_of_each(
    good: Iterable[dict[str, Any]], first: dict[str, int]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows whose customer id has not come before, and the others as bad rows that say which line had it first.

    `first` holds the line of each id so far, and is added to.
    """
    kept: list[dict[str, Any]] = []
    repeated: list[dict[str, Any]] = []
    for row in good:
        earlier = first.setdefault(row["id"], row["line"])
        if earlier == row["line"]:
            kept.append(row)
        else:
            reason = f"id {row['id']!r} was on line {earlier} already"
            repeated.append({"line": row["line"], "reason": reason, "row": json.dumps(row)})
    return kept, repeated


def to_lines(values: Iterable[dict[str, Any]]) -> bytes:
    """JSON lines."""
    return "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values).encode("utf-8", "backslashreplace")


def from_lines(content: bytes) -> list[dict[str, Any]]:
    """The values of JSON lines."""
    return [json.loads(line) for line in content.decode().split("\n") if line]


class Whole:
    """The parts of one source put together in order, one part in memory at a time as values."""

    def __init__(self) -> None:
        self.good: list[bytes] = []
        self.bad: list[bytes] = []
        self._first: dict[str, int] = {}
        self._counts = {"rows": 0, "good": 0, "bad": 0, "total_cents": 0}
        self._reasons: list[dict[str, Any]] = []

    def add(self, good_lines: bytes, bad_lines: bytes) -> None:
        """Adds the next part; a customer who came before moves to the bad rows."""
        good, repeated = first_of_each(from_lines(good_lines), self._first)
        bad = sorted([*from_lines(bad_lines), *repeated], key=lambda row: int(row["line"]))
        self.good.append(to_lines(good))
        self.bad.append(to_lines(bad))
        self._counts["rows"] += len(good) + len(bad)
        self._counts["good"] += len(good)
        self._counts["bad"] += len(bad)
        self._counts["total_cents"] += sum(row["cents"] for row in good)
        room = max(0, REASONS_SHOWN - len(self._reasons))
        self._reasons += [{"line": row["line"], "reason": row["reason"]} for row in bad[:room]]

    def summary(self) -> dict[str, Any]:
        """The counts, the sum and the first reasons."""
        return {**self._counts, "reasons": self._reasons}
