"""JSON as Newtonsoft.Json reads and writes it: lenient reading, its errors word for word, compact writing.

The extension parses request bodies and stored texts with Newtonsoft 13 (`JsonTextReader`). It takes single quotes,
comments, names without quotes, hexadecimal and octal numbers, NaN and superfluous commas; an error names the path, the
line and the position.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

LONE_SURROGATE = re.compile("[\ud800-\udfff]")
ESCAPES = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", "\\": "\\", '"': '"', "'": "'", "/": "/"}
CONSTANTS: dict[str, tuple[str, Any, str]] = {
    "t": ("true", True, "Error parsing boolean value."),
    "f": ("false", False, "Error parsing boolean value."),
    "n": ("null", None, "Error parsing null value."),
    "u": ("undefined", None, "Error parsing undefined value."),
    "N": ("NaN", math.nan, "Error parsing NaN value."),
    "I": ("Infinity", math.inf, "Error parsing positive infinity value."),
}
STRING_STOPS = {quote: re.compile(rf"[{quote}\\]") for quote in "\"'"}
NUMBER_CHARACTERS = frozenset("-+.0123456789abcdefABCDEFxXrRoOpP")
SEPARATORS = frozenset(" \t\r\n,:{}[]()/'\"")
LONGEST_NUMBER = 4_000
DEEPEST = 64 * 4  # far above what people write, far below Python's own limit

# How the readers of the extension report a text that ends too early.
READER = "Newtonsoft.Json.JsonReaderException"
SERIALIZER = "Newtonsoft.Json.JsonSerializationException"


class NotJsonText(Exception):
    """The text is not JSON to Newtonsoft; `kind` is the .NET exception's type."""

    def __init__(self, text: str, kind: str = READER) -> None:
        super().__init__(text)
        self.kind = kind


def read_document(text: str) -> Any:
    """A body that must be one value (`JsonConvert.DeserializeObject`); None when it is blank. NotJsonText."""
    found = _plain(text)
    if found is not ODD:
        return without_metadata(found)
    reader = _Reader(text, by_serializer=True)
    if not reader.skip_blanks():
        return None
    value = reader.value()
    reader.must_end()
    return without_metadata(value)


def without_metadata(value: Any) -> Any:
    """An object without the `$type` and `$id` it begins with, which the serializer takes for its own."""
    if not isinstance(value, dict):
        return value
    kept = dict(value)
    for name in value:
        if name not in ("$type", "$id"):
            break
        del kept[name]
    return kept


def read_token(text: str, only: bool = True) -> Any:
    """A text read with `JToken.Parse`, or with `only=False` its first value (`JToken.Load`). NotJsonText."""
    found = _plain(text)
    if found is not ODD:
        return found
    reader = _Reader(text)
    if not reader.skip_blanks():
        raise reader.error("Error reading JToken from JsonReader.")
    value = reader.value()
    if only:
        reader.must_end()
    return value


def _plain(text: str) -> Any:
    """The value of a text that any JSON reader takes, or ODD: most are, and Python's own reader is far faster."""
    if text.count("[") + text.count("{") > DEEPEST:  # perhaps too deep
        return ODD
    try:
        return PLAIN.decode(text)
    except (ValueError, RecursionError):
        return ODD


def read_stored(text: str | None) -> Any:
    """A stored text as the status document shows it: its JSON value, or else itself; blanks are the empty text."""
    if text is None:
        return None
    if not text.strip():
        return ""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return read_token(text)
    except NotJsonText:
        return text


def dumps(value: Any) -> str:
    """A value as compact JSON; letters stay as they are, NaN and infinities are texts."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    if "NaN" in text or "Infinity" in text:
        text = json.dumps(_without_nan(value), separators=(",", ":"), ensure_ascii=False)
    return text


def encode(text: str) -> bytes:
    """UTF-8 as .NET writes it: half a surrogate pair becomes the replacement character."""
    return LONE_SURROGATE.sub("\ufffd", text).encode("utf-8")


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def _whole_number(text: str) -> int:
    if len(text) >= LONGEST_NUMBER:
        raise ValueError("too long")
    return int(text)


PLAIN = json.JSONDecoder(parse_int=_whole_number)
ODD = object()


class _Reader:
    """One pass over a text."""

    def __init__(self, text: str, by_serializer: bool = False) -> None:
        self._text = text
        self._at = 0
        self._path: list[str | int] = []
        self._by_serializer = by_serializer

    def skip_blanks(self) -> bool:
        """Skips blanks and comments; False at the end of the text."""
        text = self._text
        while self._at < len(text):
            if text[self._at].isspace():
                self._at += 1
            elif text[self._at] == "/":
                self._comment()
            else:
                return True
        return False

    def value(self) -> Any:
        """The value that begins here."""
        if not self.skip_blanks():
            raise self.error("Error reading JToken from JsonReader.")
        first = self._text[self._at]
        if first == "{":
            return self._object()
        if first == "[":
            return self._array()
        if first in "\"'":
            return self._string()
        if first in CONSTANTS:
            return self._constant(first)
        if first.isdigit() or first in "-.":
            return self._number()
        raise self.error(f"Unexpected character encountered while parsing value: {first}.")

    def must_end(self) -> None:
        """Nothing but blanks and comments may follow."""
        if self.skip_blanks():
            extra = self._text[self._at]
            raise self.error(f"Additional text encountered after finished reading JSON content: {extra}.")

    def error(self, text: str, kind: str = READER) -> NotJsonText:
        """An error at this place, with path, line and position as Newtonsoft counts them."""
        before = self._text[: self._at]
        line_start = max(before.rfind("\n"), before.rfind("\r")) + 1
        line = 0 if self._at == 0 else len(re.findall(r"\r\n|\r|\n", before)) + 1
        return NotJsonText(f"{text} Path '{self._shown_path()}', line {line}, position {self._at - line_start}.", kind)

    def _shown_path(self) -> str:
        shown = ""
        for part in self._path:
            if isinstance(part, int):
                shown += f"[{part}]"
            elif re.search(r"[\s.'/\"\[\]()\t\n\r\f\b\\\u0085\u2028\u2029]", part):
                shown += "['" + part.replace("\\", "\\\\").replace("'", "\\'") + "']"
            else:
                shown += f".{part}" if shown else part
        return shown

    def _ends_too_early(self, what: str, name: str) -> NotJsonText:
        if self._by_serializer:
            return self.error(f"Unexpected end when deserializing {what}.", SERIALIZER)
        return self.error(f"Unexpected end of content while loading {name}.")

    def _object(self) -> dict[str, Any]:
        self._open()
        found: dict[str, Any] = {}
        self._path.append("")
        shown = self._path
        while True:
            if not self.skip_blanks():
                if not shown[-1]:
                    shown.pop()
                raise self._ends_too_early("object", "JObject")
            if self._text[self._at] == "}":
                self._at += 1
                shown.pop()
                return found
            shown[-1] = name = self._name()
            if not self.skip_blanks():
                raise self._ends_too_early("object", "JObject")
            found[name] = self.value()
            self._after_value("}", "object", "JObject")

    def _name(self) -> str:
        first = self._text[self._at]
        if first in "\"'":
            name = self._string()
        elif first.isalnum() or first in "_$":
            name = self._bare_name()
        else:
            raise self.error(f"Invalid property identifier character: {first}.")
        if not self.skip_blanks():
            raise self._ends_too_early("object", "JObject")
        if self._text[self._at] != ":":
            wrong = self._text[self._at]
            raise self.error(f"Invalid character after parsing property name. Expected ':' but got: {wrong}.")
        self._at += 1
        return name

    def _bare_name(self) -> str:
        start = self._at
        while self._at < len(self._text):
            letter = self._text[self._at]
            if letter == ":" or letter.isspace():
                return self._text[start : self._at]
            if not (letter.isalnum() or letter in "_$"):
                raise self.error(f"Invalid JavaScript property identifier character: {letter}.")
            self._at += 1
        if self._path and self._path[-1] == "":
            self._path.pop()
        raise self.error("Unexpected end while parsing unquoted property name.")

    def _array(self) -> list[Any]:
        self._open()
        found: list[Any] = []
        while True:
            self._path.append(len(found))
            if not self.skip_blanks():
                raise self._ends_too_early("array", "JArray")
            if self._text[self._at] == "]":
                self._at += 1
                self._path.pop()
                return found
            found.append(None if self._text[self._at] == "," else self.value())  # an empty place is `undefined`
            self._after_value("]", "array", "JArray")
            self._path.pop()

    def _open(self) -> None:
        if len(self._path) >= DEEPEST:
            raise self.error(f"The reader's MaxDepth of {DEEPEST} has been exceeded.")
        self._at += 1

    def _after_value(self, end: str, what: str, name: str) -> None:
        if not self.skip_blanks():
            raise self._ends_too_early(what, name)
        letter = self._text[self._at]
        if letter == ",":
            self._at += 1
        elif letter != end:
            raise self.error(f"After parsing a value an unexpected character was encountered: {letter}.")

    def _string(self) -> str:
        text, quote = self._text, self._text[self._at]
        self._at += 1
        parts: list[str] = []
        start = self._at
        while found := STRING_STOPS[quote].search(text, self._at):
            self._at = found.start()
            parts.append(text[start : self._at])
            if found.group() == quote:
                self._at += 1
                return _join_surrogates("".join(parts))
            parts.append(self._escape())
            start = self._at
        self._at = len(text)
        raise self.error(f"Unterminated string. Expected delimiter: {quote}.")

    def _escape(self) -> str:
        text = self._text
        letter = text[self._at + 1 : self._at + 2]
        if letter == "u":
            digits = text[self._at + 2 : self._at + 6]
            if len(digits) < 4:
                self._at = len(text)
                raise self.error("Unexpected end while parsing Unicode escape sequence.")
            if not re.fullmatch(r"[0-9a-fA-F]{4}", digits):
                raise self.error(f"Invalid Unicode escape sequence: \\u{digits}.")
            self._at += 6
            return chr(int(digits, 16))
        self._at += 2
        if letter not in ESCAPES:
            raise self.error(f"Bad JSON escape sequence: \\{letter}.")
        return ESCAPES[letter]

    def _constant(self, first: str) -> Any:
        word, value, complaint = CONSTANTS[first]
        if first == "n" and self._text[self._at + 1 : self._at + 2] not in ("u", "e", ""):
            raise self.error(f"Unexpected character encountered while parsing value: {first}.")
        end = self._at + len(word)
        if self._text[self._at : end] != word or (end < len(self._text) and self._text[end] not in SEPARATORS):
            raise self.error(complaint)
        self._at = end
        return value

    def _number(self) -> Any:
        text, start = self._text, self._at
        if text.startswith("-Infinity", start):
            self._at += len("-Infinity")
            return -math.inf
        while self._at < len(text) and text[self._at] in NUMBER_CHARACTERS:
            self._at += 1
        if self._at < len(text) and text[self._at] not in SEPARATORS:
            wrong = text[self._at]
            raise self.error(f"Unexpected character encountered while parsing number: {wrong}.")
        number = text[start : self._at]
        found = _as_number(number)
        if found is None:
            raise self.error(f"Input string '{number}' is not a valid number.")
        return found

    def _comment(self) -> None:
        text = self._text
        kind = text[self._at : self._at + 2]
        if kind == "/*":
            end = text.find("*/", self._at + 2)
            if end < 0:
                self._at = len(text)
                raise self.error("Unexpected end while parsing comment.")
            self._at = end + 2
        elif kind == "//":
            end = text.find("\n", self._at)
            self._at = len(text) if end < 0 else end + 1
        else:
            self._at += 1
            raise self.error(f"Error parsing comment. Expected: *, got {kind[1:]}.")


def _as_number(text: str) -> int | float | None:
    if re.fullmatch(r"0[xX][0-9a-fA-F]+", text):
        return int(text, 16)
    if re.fullmatch(r"0[0-7]+", text):
        return int(text, 8)
    if re.fullmatch(r"-?\d+", text):
        return int(text) if len(text) < LONGEST_NUMBER else None
    if re.fullmatch(r"-?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", text):
        return float(text)
    return None


def _join_surrogates(text: str) -> str:
    """Two halves of a pair that were escaped one by one become one letter."""
    if not LONE_SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
