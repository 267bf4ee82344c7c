"""Keys open what they are for, the master key everything, and outlive a restart."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from lab.errors import SettingsError
from lab.incoming import Incoming
from lab.keys import Keys, keep_keys

KEYS = Keys("master", "function", "system")


def request(target: str = "/", **headers: str) -> Incoming:
    return Incoming("GET", "http", "h", target, list(headers.items()), b"")


def with_key(key: str) -> Incoming:
    return Incoming("GET", "http", "h", "/", [("X-Functions-Key", key)], b"")


@pytest.mark.parametrize(
    ("level", "opens"),
    [("ANONYMOUS", {"", "master", "function", "system"}), ("FUNCTION", {"master", "function"}), ("ADMIN", {"master"})],
)
def test_a_level_is_opened_by_its_keys(level: str, opens: set[str]) -> None:
    keys = ["", "master", "function", "system", "wrong", "ü"]
    assert {key for key in keys if KEYS.allow(with_key(key), level)} >= opens
    if level != "ANONYMOUS":
        assert {key for key in keys if KEYS.allow(with_key(key), level)} == opens


def test_the_webhook_is_opened_by_the_system_key() -> None:
    opens = [key for key in ("", "master", "function", "system") if KEYS.allow_hook(with_key(key))]
    assert opens == ["master", "system"]


def test_a_key_may_come_in_the_query_and_the_header_counts_first() -> None:
    assert KEYS.allow(request("/?code=function"), "FUNCTION")
    both = Incoming("GET", "http", "h", "/?code=function", [("x-functions-key", "wrong")], b"")
    assert not KEYS.allow(both, "FUNCTION")


def test_keys_are_made_once_and_kept_for_their_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / ".lab" / "keys.json"
    first = keep_keys(file)
    assert keep_keys(file) == first
    assert len({first.master, first.function, first.system}) == 3
    if sys.platform != "win32":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_broken_file_of_keys_is_told(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text('{"a": 1}')
    with pytest.raises(SettingsError, match="Delete it and start again"):
        keep_keys(tmp_path / "keys.json")
