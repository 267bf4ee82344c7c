"""Where large payloads lie, so that only their names travel through histories (claim check).

Two alternatives: a container of the storage account that the app's AzureWebJobsStorage names, and, for the lab alone,
whose embedded account has no HTTP endpoint, a local directory named by the setting BLOB_DIRECTORY. The directory is not
replicated and never leaves the machine: do not set it in Azure.

Writing is always whole and over what was there, so an activity that runs twice leaves one blob with the same content.
"""

import os
import re
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from workflows import settings

CONTAINER = "durable-failover-work"
NAME = re.compile(r"[A-Za-z0-9_.:~@-]+(/[A-Za-z0-9_.:~@-]+)*")


class BlobMissing(Exception):
    """A blob that should be there is not: never written, deleted, or not yet replicated when the region was lost."""


class Blobs(Protocol):
    """What the workflows need of a container."""

    def put(self, name: str, content: bytes) -> None:
        """Writes the blob whole, over an older one."""

    def get(self, name: str) -> bytes:
        """The blob's content; raises BlobMissing."""

    def get_range(self, name: str, start: int, length: int) -> bytes:
        """A part of the blob's content; raises BlobMissing."""

    def delete(self, name: str) -> None:
        """Deletes the blob; one that is not there is fine."""


class DirectoryBlobs:
    """Blobs as files below a directory, for the lab."""

    def __init__(self, directory: str) -> None:
        self._directory = Path(directory)

    def _path(self, name: str) -> Path:
        # A colon may stand in an instance id but not in a file name everywhere.
        return self._directory.joinpath(*checked(name).replace(":", "%3A").split("/"))

    def put(self, name: str, content: bytes) -> None:
        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(temporary, path)

    def get(self, name: str) -> bytes:
        try:
            return self._path(name).read_bytes()
        except FileNotFoundError as error:
            raise BlobMissing(f"There is no blob {name!r}.") from error

    def get_range(self, name: str, start: int, length: int) -> bytes:
        try:
            with self._path(name).open("rb") as file:
                file.seek(start)
                return file.read(length)
        except FileNotFoundError as error:
            raise BlobMissing(f"There is no blob {name!r}.") from error

    def delete(self, name: str) -> None:
        self._path(name).unlink(missing_ok=True)


class AccountBlobs:
    """Blobs in the app's own storage account, by connection string or by the app's identity."""

    def __init__(self) -> None:
        from azure.core.exceptions import ResourceExistsError
        from azure.storage.blob import BlobServiceClient

        connection = settings.text("AzureWebJobsStorage")
        if connection:
            service = BlobServiceClient.from_connection_string(connection)
        else:
            service = BlobServiceClient(account_url(), credential=identity())
        self._container = service.get_container_client(settings.text("WORK_CONTAINER", CONTAINER))
        try:
            self._container.create_container()
        except ResourceExistsError:
            pass

    def put(self, name: str, content: bytes) -> None:
        self._container.upload_blob(checked(name), content, overwrite=True)

    def get(self, name: str) -> bytes:
        return self._download(name)

    def get_range(self, name: str, start: int, length: int) -> bytes:
        return self._download(name, start, length)

    def _download(self, name: str, start: int | None = None, length: int | None = None) -> bytes:
        from azure.core.exceptions import ResourceNotFoundError

        try:
            return self._container.download_blob(checked(name), offset=start, length=length).readall()
        except ResourceNotFoundError as error:
            raise BlobMissing(f"There is no blob {name!r}.") from error

    def delete(self, name: str) -> None:
        from azure.core.exceptions import ResourceNotFoundError

        try:
            self._container.delete_blob(checked(name))
        except ResourceNotFoundError:
            pass


def is_usable(name: str) -> bool:
    """Whether every store can keep a blob of this name, and none would look for it outside its container."""
    return bool(NAME.fullmatch(name)) and all(part.strip(".") for part in name.split("/"))


def checked(name: str) -> str:
    """The name, if it is usable; raises ValueError otherwise."""
    if not is_usable(name):
        raise ValueError(f"{name!r} is not a usable blob name.")
    return name


def account_url() -> str:
    """The blob service's address by the settings of an identity-based connection."""
    uri = settings.text("AzureWebJobsStorage__blobServiceUri")
    if uri:
        return uri
    account = settings.required("AzureWebJobsStorage__accountName", "which storage account holds the blobs")
    return f"https://{account}.blob.core.windows.net"


def identity() -> Any:
    """The credential of an identity-based connection: the named user-assigned identity, or whatever is at hand."""
    from azure.identity import DefaultAzureCredential, ManagedIdentityCredential

    client_id = settings.text("AzureWebJobsStorage__clientId")
    return ManagedIdentityCredential(client_id=client_id) if client_id else DefaultAzureCredential()


@lru_cache(maxsize=1)
def _account_blobs() -> AccountBlobs:
    return AccountBlobs()


def container() -> Blobs:
    """The blobs of this app: the lab's directory when BLOB_DIRECTORY is set, else the storage account's container."""
    directory = settings.text("BLOB_DIRECTORY")
    return DirectoryBlobs(directory) if directory else _account_blobs()
