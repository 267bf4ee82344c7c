"""Blobs: the contract both stores keep, names that stay inside, and which store is taken."""

from pathlib import Path

import pytest

from workflows import blobs
from workflows.blobs import BlobMissing, DirectoryBlobs


def test_a_blob_is_written_whole_and_over_the_older_one(tmp_path: Path) -> None:
    store = DirectoryBlobs(str(tmp_path))
    for content in (b"older and longer", b"new"):
        store.put("a/b-1:x", content)
    assert store.get("a/b-1:x") == b"new" and store.get_range("a/b-1:x", 1, 10) == b"ew"
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1


def test_a_blob_that_is_not_there_is_missing_and_may_be_deleted(tmp_path: Path) -> None:
    store = DirectoryBlobs(str(tmp_path))
    store.delete("none")
    with pytest.raises(BlobMissing):
        store.get("none")
    with pytest.raises(BlobMissing):
        store.get_range("none", 0, 1)


@pytest.mark.parametrize("name", ["", "/a", "a/", "a//b", "../a", "a/../b", ".", "a\\b", "a b", "ü"])
def test_a_name_that_could_lead_outside_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError):
        DirectoryBlobs(str(tmp_path)).put(name, b"x")


def test_the_directory_is_taken_only_when_it_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLOB_DIRECTORY", str(tmp_path))
    assert isinstance(blobs.container(), DirectoryBlobs)
