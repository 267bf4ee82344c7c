"""The blob service of a real account or Azurite."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any
from urllib.parse import quote, unquote

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError
from azure.storage.blob.aio import BlobLeaseClient, BlobServiceClient

from taskhub.accounts import Blob
from taskhub.accounts.azure.calls import Caller, error_code
from taskhub.accounts.limits import check_container

BLOCKS_AT_ONCE = 4
NO_LEASE = {"LeaseNotPresentWithLeaseOperation", "LeaseAlreadyBroken", "BlobNotFound", "ContainerNotFound"}


class AzureBlobs:
    """Containers, blobs and their leases behind an endpoint."""

    def __init__(self, client: BlobServiceClient, caller: Caller) -> None:
        self._client = client
        self._caller = caller
        self._address = client.url.split("?")[0].rstrip("/")

    async def create(self, container: str) -> bool:
        check_container(container)
        return await self._caller.call(self._create, container)

    async def drop(self, container: str) -> None:
        await self._caller.call(self._unless, {"ContainerNotFound"}, self._container(container).delete_container)

    async def names(self, prefix: str = "") -> list[str]:
        return sorted(await self._caller.call(self._names, prefix))

    async def put(
        self,
        container: str,
        name: str,
        data: bytes,
        lease_id: str | None = None,
        if_match: str | None = None,
        only_new: bool = False,
    ) -> str:
        options: dict[str, Any] = {"overwrite": not only_new, "lease": lease_id, "max_concurrency": BLOCKS_AT_ONCE}
        if if_match is not None:
            options |= {"etag": if_match, "match_condition": MatchConditions.IfNotModified}
        answer = await self._caller.call(self._blob(container, name).upload_blob, data, **options)
        return str(answer["etag"])

    async def get(self, container: str, name: str) -> bytes:
        return await self._caller.call(self._get, container, name)

    async def properties(self, container: str, name: str) -> Blob | None:
        return await self._caller.call(self._properties, container, name)

    async def delete(self, container: str, name: str, lease_id: str | None = None) -> bool:
        return await self._caller.call(self._delete, container, name, lease_id)

    async def list(self, container: str, prefix: str = "") -> AsyncIterator[Blob]:
        for blob in await self._caller.call(self._list, container, prefix):
            yield blob

    async def acquire_lease(self, container: str, name: str | None, seconds: int, lease_id: str | None = None) -> str:
        lease = self._lease(container, name, lease_id)
        await self._caller.call(lease.acquire, lease_duration=seconds)
        return lease.id

    async def renew_lease(self, container: str, name: str | None, lease_id: str) -> None:
        await self._caller.call(self._lease(container, name, lease_id).renew)

    async def change_lease(self, container: str, name: str | None, lease_id: str, new_id: str) -> None:
        await self._caller.call(self._lease(container, name, lease_id).change, new_id)

    async def release_lease(self, container: str, name: str | None, lease_id: str) -> None:
        await self._caller.call(self._lease(container, name, lease_id).release)

    async def break_lease(self, container: str, name: str | None) -> None:
        await self._caller.call(self._break, container, name)

    async def leased(self, container: str, name: str | None) -> bool:
        return await self._caller.call(self._leased, container, name)

    def url(self, container: str, name: str) -> str:
        return f"{self._address}/{container}/{quote(name, safe='/')}"

    def parse_url(self, url: str) -> tuple[str, str] | None:
        path = url.split("?")[0]
        if not path.startswith(self._address + "/"):
            return None
        container, _, name = path[len(self._address) + 1 :].partition("/")
        return (container, unquote(name)) if container and name else None

    # -- calls of the client

    def _container(self, container: str) -> Any:
        return self._client.get_container_client(container)

    def _blob(self, container: str, name: str) -> Any:
        return self._client.get_blob_client(container, name)

    def _lease(self, container: str, name: str | None, lease_id: str | None = None) -> BlobLeaseClient:
        client = self._container(container) if name is None else self._blob(container, name)
        return BlobLeaseClient(client, lease_id=lease_id)

    async def _unless(self, codes: set[str], work: Any, **options: Any) -> None:
        try:
            await work(**options)
        except HttpResponseError as error:
            if error_code(error) not in codes:
                raise

    async def _create(self, container: str) -> bool:
        try:
            await self._container(container).create_container()
        except HttpResponseError as error:
            if error_code(error) != "ContainerAlreadyExists":
                raise
            return False
        return True

    async def _names(self, prefix: str) -> Sequence[str]:
        found = self._client.list_containers(name_starts_with=prefix or None)
        return [item.name async for item in found]

    async def _get(self, container: str, name: str) -> bytes:
        stream = await self._blob(container, name).download_blob()
        return bytes(await stream.readall())

    async def _properties(self, container: str, name: str) -> Blob | None:
        try:
            return _properties(await self._blob(container, name).get_blob_properties())
        except HttpResponseError as error:
            if error.status_code == 404:
                return None
            raise

    async def _delete(self, container: str, name: str, lease_id: str | None) -> bool:
        try:
            await self._blob(container, name).delete_blob(lease=lease_id)
        except HttpResponseError as error:
            if error.status_code == 404:
                return False
            raise
        return True

    async def _list(self, container: str, prefix: str) -> Sequence[Blob]:
        found = self._container(container).list_blobs(name_starts_with=prefix or None)
        try:
            return [_properties(blob) async for blob in found]
        except HttpResponseError as error:
            if error_code(error) == "ContainerNotFound":
                return []
            raise

    async def _break(self, container: str, name: str | None) -> None:
        await self._unless(NO_LEASE, self._lease(container, name).break_lease, lease_break_period=0)

    async def _leased(self, container: str, name: str | None) -> bool:
        if name is None:
            work = self._container(container).get_container_properties
        else:
            work = self._blob(container, name).get_blob_properties
        try:
            return bool((await work()).lease.state == "leased")
        except HttpResponseError as error:
            if error.status_code == 404:
                return False
            raise


def _properties(blob: Any) -> Blob:
    return Blob(blob.name, blob.size, f'"{blob.etag.strip(chr(34))}"', blob.last_modified, blob.lease.state == "leased")
