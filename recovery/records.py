"""Where the journal and the fence keep their records: a container in an account outside the hub's region.

Two alternatives: a container of a real account or Azurite, and a directory for the lab. A record is written whole, is
there after the call, and may be guarded by the version that was read. Nothing here needs more than the Blob client.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, unquote

CONTAINER = "journal"
SETTING = "JOURNAL_STORAGE"
TIMEOUT_SECONDS = 5


class RecordsUnreachable(Exception):
    """The account of the records does not answer or refuses; the text says which and why."""


class RecordChanged(Exception):
    """Somebody else has written the record since it was read, or it exists already."""


class Records(Protocol):
    """Small named texts. Every call raises RecordsUnreachable when the account does not answer."""

    description: str  # for messages to people, never a key

    def put(self, name: str, data: bytes, version: str | None = None, only_new: bool = False) -> str:
        """Writes a record and returns its version. RecordChanged: `version` is not the current one, or it exists."""
        ...

    def get(self, name: str) -> tuple[bytes, str] | None:
        """A record and its version, None when there is none."""
        ...

    def names(self, prefix: str = "") -> Iterator[str]:
        """The names that begin with the prefix, sorted."""
        ...

    def delete(self, name: str) -> None:
        """Deletes a record; one that is not there is fine."""
        ...


def open_records(environment: Mapping[str, str] = os.environ) -> Records | None:
    """The records that the setting JOURNAL_STORAGE names; None when it is missing, empty or `off`.

    A directory, a connection string, or `JOURNAL_STORAGE__accountName` for an account by identity (with
    `JOURNAL_STORAGE__clientId` for a user-assigned one).
    """
    account = environment.get(f"{SETTING}__accountName", "").strip()
    if account:
        return _by_identity(account, environment.get(f"{SETTING}__clientId", "").strip())
    place = environment.get(SETTING, "").strip()
    if not place or place.lower() == "off":
        return None
    return open_place(place)


def open_place(place: str) -> Records:
    """The records in a directory, behind a connection string, or of an account by identity (`identity:NAME`)."""
    if place.startswith("identity:"):
        return _by_identity(place.removeprefix("identity:"), "")
    if "=" in place:
        return _by_connection_string(place)
    return DirectoryRecords(Path(place))


class DirectoryRecords:
    """Records as files, for the lab; several processes may use them at once."""

    def __init__(self, directory: Path) -> None:
        self.description = str(directory)
        self._directory = directory
        self._lock = threading.Lock()

    def put(self, name: str, data: bytes, version: str | None = None, only_new: bool = False) -> str:
        try:
            with self._lock:
                return self._put(self._path(name), data, version, only_new)
        except OSError as error:
            raise RecordsUnreachable(f"the journal in {self.description} cannot be written: {error}") from error

    def _put(self, path: Path, data: bytes, version: str | None, only_new: bool) -> str:
        path.parent.mkdir(parents=True, exist_ok=True)
        if version is not None and (not path.exists() or _version(path.read_bytes()) != version):
            raise RecordChanged(f"{path.name} was changed meanwhile")
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if only_new:
                os.link(temporary, path)  # fails when it exists, also against another process
            else:
                os.replace(temporary, path)
        except FileExistsError as error:
            raise RecordChanged(f"{path.name} exists already") from error
        finally:
            Path(temporary).unlink(missing_ok=True)
        return _version(data)

    def get(self, name: str) -> tuple[bytes, str] | None:
        try:
            data = self._path(name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise RecordsUnreachable(f"the journal in {self.description} cannot be read: {error}") from error
        return data, _version(data)

    def names(self, prefix: str = "") -> Iterator[str]:
        folder, slash, begins = prefix.rpartition("/")
        try:
            yield from self._below(self._path(folder) if slash else self._directory, folder + slash, begins)
        except OSError as error:
            raise RecordsUnreachable(f"the journal in {self.description} cannot be read: {error}") from error

    def _below(self, directory: Path, before: str, begins: str = "") -> Iterator[str]:
        """The names in one directory and, one after the other, in those below: nothing else is looked at."""
        try:
            with os.scandir(directory) as found:  # a name that begins with a dot is still being written
                names = [(unquote(x.name) + "/" * x.is_dir(), x.name) for x in found if not x.name.startswith(".")]
        except FileNotFoundError:
            return
        for name, file in sorted(names):
            if not name.startswith(begins):
                continue
            if name.endswith("/"):
                yield from self._below(directory / file, before + name)
            else:
                yield before + name

    def delete(self, name: str) -> None:
        try:
            self._path(name).unlink(missing_ok=True)
        except OSError as error:
            raise RecordsUnreachable(f"the journal in {self.description} cannot be written: {error}") from error

    def _path(self, name: str) -> Path:
        # Quoting keeps any instance id inside the directory.
        return self._directory.joinpath(*(quote(part, safe="").replace(".", "%2E") for part in name.split("/")))


def _version(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class BlobRecords:
    """Records as block blobs."""

    def __init__(self, container: Any, description: str) -> None:
        self.description = description
        self._container = container
        self._created = False

    def put(self, name: str, data: bytes, version: str | None = None, only_new: bool = False) -> str:
        return str(self._call(lambda: self._put(name, data, version, only_new)))

    def _put(self, name: str, data: bytes, version: str | None, only_new: bool) -> str:
        from azure.core import MatchConditions
        from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError

        guard: dict[str, Any] = {"overwrite": not only_new, "timeout": TIMEOUT_SECONDS}
        if version is not None:
            guard |= {"etag": version, "match_condition": MatchConditions.IfNotModified}
        try:
            answer = self._container.get_blob_client(name).upload_blob(data, **guard)
        except (ResourceExistsError, ResourceModifiedError) as error:
            raise RecordChanged(f"{name} exists already, or was changed meanwhile") from error
        except ResourceNotFoundError:
            if self._created or version is not None:
                raise
            self._container.create_container()
            self._created = True
            return self._put(name, data, version, only_new)
        return str(answer["etag"])

    def get(self, name: str) -> tuple[bytes, str] | None:
        found: tuple[bytes, str] | None = self._call(lambda: self._get(name))
        return found

    def _get(self, name: str) -> tuple[bytes, str] | None:
        from azure.core.exceptions import ResourceNotFoundError

        try:
            stream = self._container.download_blob(name, timeout=TIMEOUT_SECONDS)
            return stream.readall(), str(stream.properties.etag)
        except ResourceNotFoundError:
            return None

    def names(self, prefix: str = "") -> Iterator[str]:
        from azure.core.exceptions import ResourceNotFoundError

        pages = self._container.list_blob_names(name_starts_with=prefix).by_page()

        def following() -> list[str] | None:
            try:
                return list(next(pages))
            except (StopIteration, ResourceNotFoundError):  # the end, or no container yet
                return None

        while (page := self._call(following)) is not None:
            yield from page

    def delete(self, name: str) -> None:
        from azure.core.exceptions import ResourceNotFoundError

        def gone() -> None:
            try:
                self._container.delete_blob(name, timeout=TIMEOUT_SECONDS)
            except ResourceNotFoundError:
                pass

        self._call(gone)

    def _call(self, work: Any) -> Any:
        from azure.core.exceptions import AzureError

        try:
            return work()
        except AzureError as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            status = getattr(error, "status_code", None)
            what = f"answers {status}" if status else "does not answer"
            raise RecordsUnreachable(f"the journal in {self.description} {what}: {reason}") from error


def _client(service: Any, description: str) -> BlobRecords:
    return BlobRecords(service.get_container_client(CONTAINER), description)


def _options() -> dict[str, Any]:
    """Two short retries: an answer waits for the write, so a dead account must be noticed within seconds."""
    from azure.storage.blob import LinearRetry

    return {
        "retry_policy": LinearRetry(backoff=0.3, retry_total=2, random_jitter_range=0.1),  # type: ignore[arg-type]
        "connection_timeout": TIMEOUT_SECONDS,
        "read_timeout": TIMEOUT_SECONDS,
    }


def _by_connection_string(text: str) -> Records:
    from azure.storage.blob import BlobServiceClient

    try:
        service = BlobServiceClient.from_connection_string(text, **_options())
    except ValueError as error:
        raise RecordsUnreachable(f"the setting {SETTING} is no connection string of a storage account") from error
    return _client(service, f"{service.account_name} ({service.primary_endpoint})")


def _by_identity(account: str, client_id: str) -> Records:
    from azure.identity import DefaultAzureCredential
    from azure.storage.blob import BlobServiceClient

    credential = DefaultAzureCredential(managed_identity_client_id=client_id or None)
    address = f"https://{account}.blob.core.windows.net"
    return _client(BlobServiceClient(address, credential=credential, **_options()), account)
