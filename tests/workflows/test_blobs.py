"""Blobs: the contract that both stores keep, names that stay inside, and which store is taken."""

from pathlib import Path
from typing import Any

import pytest

from tests.taskhub.accounts.conftest import azurite as _azurite
from workflows import blobs
from workflows.blobs import AccountBlobs, BlobMissing, Blobs, DirectoryBlobs

azurite = _azurite


@pytest.fixture(params=["directory", "storage account"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Blobs:
    """A directory, and a container of Azurite where that is installed."""
    if request.param == "directory":
        return DirectoryBlobs(str(tmp_path))
    monkeypatch.setenv("AzureWebJobsStorage", request.getfixturevalue("azurite"))
    return AccountBlobs()


def test_a_blob_is_written_whole_and_over_the_older_one(store: Blobs) -> None:
    for content in (b"older and longer", b"new"):
        store.put("a/b-1:x", content)
    assert store.get("a/b-1:x") == b"new"


def test_a_part_of_a_blob_can_be_read_up_to_its_end(store: Blobs) -> None:
    store.put("part", b"0123456789")
    assert store.get_range("part", 2, 3) == b"234" and store.get_range("part", 8, 10) == b"89"


def test_a_blob_that_is_not_there_is_missing_and_may_be_deleted(store: Blobs) -> None:
    store.delete("none")
    with pytest.raises(BlobMissing):
        store.get("none")
    with pytest.raises(BlobMissing):
        store.get_range("none", 0, 1)


def test_a_deleted_blob_is_missing(store: Blobs) -> None:
    store.put("short-lived", b"x")
    store.delete("short-lived")
    with pytest.raises(BlobMissing):
        store.get("short-lived")


@pytest.mark.parametrize("name", ["", "/a", "a/", "a//b", "../a", "a/../b", ".", "a\\b", "a b", "ü"])
def test_a_name_that_could_lead_outside_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError):
        DirectoryBlobs(str(tmp_path)).put(name, b"x")


def test_writing_leaves_no_other_file_behind(tmp_path: Path) -> None:
    store = DirectoryBlobs(str(tmp_path))
    for _ in range(2):
        store.put("a/b", b"x")
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1


def test_the_directory_is_taken_only_when_it_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLOB_DIRECTORY", str(tmp_path))
    assert isinstance(blobs.container(), DirectoryBlobs)


def test_without_a_connection_string_the_account_s_name_and_identity_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AzureWebJobsStorage", raising=False)
    monkeypatch.setenv("AzureWebJobsStorage__accountName", "stshop")
    assert blobs.account_url() == "https://stshop.blob.core.windows.net"
    monkeypatch.setenv("AzureWebJobsStorage__blobServiceUri", "https://stshop-blobs.example.com")
    assert blobs.account_url() == "https://stshop-blobs.example.com"
    monkeypatch.setenv("AzureWebJobsStorage__clientId", "11111111-2222-3333-4444-555555555555")
    identity: Any = blobs.identity()
    assert type(identity).__name__ == "ManagedIdentityCredential"
