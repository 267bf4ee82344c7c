"""The file of an embedded account: what makes a good one, and what is said of a bad one."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from taskhub.accounts.embedded import open_embedded
from taskhub.accounts.embedded.file import SCHEMA_VERSION
from taskhub.errors import AccountNotUsable


def refusal(path: Path) -> str:
    with pytest.raises(AccountNotUsable) as caught:
        open_embedded(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def make(path: Path, name: str | None = None) -> None:
    open_embedded(path, name=name).engine.close()


def test_a_missing_file_is_made_with_its_directories(tmp_path: Path) -> None:
    make(tmp_path / ".lab" / "west" / "account.db")
    assert (tmp_path / ".lab" / "west" / "account.db").exists()


def test_an_account_is_named_after_its_file(tmp_path: Path) -> None:
    assert open_embedded(tmp_path / "West-Europe_1.db").name == "westeurope1"
    assert open_embedded(":memory:").name == "memory"


def test_a_name_is_kept_when_the_file_is_copied(tmp_path: Path) -> None:
    make(tmp_path / "first.db", name="drillaccount")
    (tmp_path / "second.db").write_bytes((tmp_path / "first.db").read_bytes())
    copy = open_embedded(tmp_path / "second.db", name="ignored")
    assert copy.name == "drillaccount"
    assert copy.blobs.url("hub-leases", "a b") == "https://drillaccount.blob.core.windows.net/hub-leases/a%20b"


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("these are my notes, and they are longer than the header of a database would be\n" * 20)
    before = path.read_bytes()
    assert "not a storage account's file" in refusal(path)
    assert path.read_bytes() == before


def test_a_database_of_another_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE songs (title TEXT)")
    before = path.read_bytes()
    assert "another program" in refusal(path)
    assert path.read_bytes() == before


def test_a_file_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "account.db"
    make(path)
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    assert f"format {SCHEMA_VERSION + 1}" in refusal(path)


def test_a_directory_is_refused(tmp_path: Path) -> None:
    assert "is a directory" in refusal(tmp_path)


def test_a_place_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot be created" in refusal(tmp_path / "file" / "account.db")


def test_a_place_where_nothing_can_be_written_is_refused() -> None:
    if not Path("/proc/self").exists():
        pytest.skip("this system has no directory that refuses even its administrator")
    assert "cannot be" in refusal(Path("/proc/self/account.db"))


def test_a_read_only_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "account.db"
    make(path)
    path.chmod(0o444)
    if writable(path):
        pytest.skip("permissions do not bind the administrator who runs this")
    assert "read-only" in refusal(path)


def writable(path: Path) -> bool:
    try:
        with path.open("r+b"):
            return True
    except OSError:
        return False
