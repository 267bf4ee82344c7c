"""The blob trigger by polling: finds new versions of blobs, and runs the function once for each.

After BlobListener and BlobReceiptManager of the Storage Blobs extension 5: a version (etag) that has no receipt yet in
`azure-webjobs-hosts/blobreceipts/{host id}/{function}/{etag}/{container}/{name}` becomes a message in the queue
`azure-webjobs-blobtrigger-{host id}`, under a lease of the receipt so that two hosts make one message of it. The
message runs the function, five times at most, and then goes to `webjobs-blobtrigger-poison`. Containers are looked
through every two seconds; the platform also reads the account's logs and takes up to ten minutes. Receipts hold their
state as text, where the platform's hold it as metadata.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

from lab.host_json import number, section
from lab.leases import TAKEN
from lab.triggers.context import (
    HOSTS_CONTAINER,
    Listener,
    TriggerContext,
    function_id,
    trigger_of,
)
from lab.triggers.expressions import Pattern
from lab.triggers.queue import QueueListener, encode, settings_of
from lab.worker import FunctionInfo
from taskhub.accounts import Blob, QueueMessage
from taskhub.errors import AccountError, NotFound

log = logging.getLogger("lab.triggers")
POLL_SECONDS = 2.0
RECEIPT_LEASE_SECONDS = 30
COMPLETED = b"Completed"
POISON = "webjobs-blobtrigger-poison"


def listeners(functions: Sequence[FunctionInfo], context: TriggerContext) -> list[Listener]:
    """A scanner for each function, and the one queue that they share. TriggerInvalid: a path without container."""
    scanners = {function_id(function): BlobScanner(function, context) for function in functions}
    return [*scanners.values(), _shared_queue(scanners, context)] if scanners else []


def _shared_queue(scanners: dict[str, BlobScanner], context: TriggerContext) -> QueueListener:
    blobs, cores = section(context.host_json, "extensions", "blobs"), os.cpu_count() or 1
    most = number(blobs, "maxDegreeOfParallelism", "host.json: extensions.blobs", 8 * cores, 1)
    settings = replace(
        settings_of(context),
        is_base64=True,
        batch_size=min(most, 32),
        new_batch_threshold=most // 2,
        visibility_timeout=timedelta(0),
        max_dequeue_count=number(blobs, "poisonBlobThreshold", "host.json: extensions.blobs", 5, 1),
    )

    async def execute(message: QueueMessage, body: bytes) -> None:
        try:
            found = json.loads(body)
            scanner = scanners.get(found["FunctionId"])
            version = (found["ContainerName"], found["BlobName"], found["ETag"])
        except (ValueError, KeyError, TypeError):
            log.warning("A message in the queue of the blob triggers cannot be read; it is dropped: %s", message.id)
            return
        if scanner is None:
            log.warning("A blob waits for the function %s, which there is no more.", found["FunctionId"])
            return
        await scanner.execute(*version)

    return QueueListener(context, queue_name(context), settings, execute, poison=POISON)


def queue_name(context: TriggerContext) -> str:
    """The queue of an app's blob triggers."""
    return f"azure-webjobs-blobtrigger-{context.host_id}"


class BlobScanner:
    """Finds the versions of blobs that a function has not run for, and runs it for them."""

    def __init__(self, function: FunctionInfo, context: TriggerContext) -> None:
        self._function, self._context, self._blobs = function, context, context.account.blobs
        self.pattern = Pattern(context.resolve(str(trigger_of(function).get("path") or "")))
        self._id = function_id(function)
        self._seen: dict[str, str] = {}  # etags by name, of versions that have their receipt

    @property
    def name(self) -> str:
        return f"blobs {self.pattern.container}/{self.pattern.text}"

    async def run(self) -> None:
        while True:
            try:
                await self.scan()
            except AccountError as error:
                log.warning("The %s cannot be looked through: %s", self.name, error)
            await asyncio.sleep(POLL_SECONDS)

    async def finish(self, seconds: float) -> None:
        """A scan that was cut short is made up for by the next."""

    async def scan(self) -> None:
        """Makes a message of every version that has no receipt. AccountError: it could not be finished."""
        seen: dict[str, str] = {}
        async for blob in self._blobs.list(self.pattern.container, self.pattern.prefix):
            if self.pattern.match(blob.name) is None:
                continue
            if self._seen.get(blob.name) == blob.etag or await self._enqueue(blob):
                seen[blob.name] = blob.etag
        self._seen = seen

    async def _enqueue(self, blob: Blob) -> bool:
        """Makes a message of a version unless somebody has; False when it has to be looked at again."""
        receipt = f"blobreceipts/{self._context.host_id}/{self._id}/{blob.etag}/{self.pattern.container}/{blob.name}"
        if await self._receipt(receipt) == COMPLETED:
            return True
        lease_id = str(uuid.uuid4())
        try:
            await self._blobs.acquire_lease(HOSTS_CONTAINER, receipt, RECEIPT_LEASE_SECONDS, lease_id)
        except (*TAKEN, NotFound):
            return False
        try:
            if await self._receipt(receipt) != COMPLETED:
                await self._put(blob)
                await self._blobs.put(HOSTS_CONTAINER, receipt, COMPLETED, lease_id=lease_id)
        finally:
            with suppress(AccountError):
                await self._blobs.release_lease(HOSTS_CONTAINER, receipt, lease_id)
        return True

    async def _receipt(self, receipt: str) -> bytes:
        """What a receipt says; it is created when it is missing."""
        with suppress(NotFound):
            return await self._blobs.get(HOSTS_CONTAINER, receipt)
        await self._blobs.create(HOSTS_CONTAINER)
        with suppress(*TAKEN):
            await self._blobs.put(HOSTS_CONTAINER, receipt, b"", only_new=True)
        return b""

    async def _put(self, blob: Blob) -> None:
        message = {
            "Type": "BlobTrigger",
            "FunctionId": self._id,
            "BlobType": "BlockBlob",
            "ContainerName": self.pattern.container,
            "BlobName": blob.name,
            "ETag": blob.etag,
        }
        queues, queue = self._context.account.queues, queue_name(self._context)
        text = encode(json.dumps(message).encode(), True)
        try:
            await queues.put(queue, text)
        except NotFound:
            await queues.create(queue)
            await queues.put(queue, text)

    async def execute(self, container: str, name: str, etag: str) -> None:
        """Runs the function for a version, unless the blob has changed or gone. InvocationFailed, WorkerGone."""
        properties = await self._blobs.properties(container, name)
        if properties is None or properties.etag != etag:
            return  # gone, or a newer version, which gets a message of its own
        captured = self.pattern.match(name)
        if captured is None:
            return  # the function's path has changed since
        with suppress(NotFound):
            content = await self._blobs.get(container, name)
            data = trigger_data(container, properties, content, self._blobs.url(container, name), captured)
            await self._context.worker.trigger(self._function.name, data, self._context.client_of(self._function))


def trigger_data(container: str, blob: Blob, content: bytes, url: str, captured: dict[str, str]) -> dict[str, Any]:
    """A blob as the worker takes it: its bytes, and what func.InputStream tells of it."""
    properties = {
        "ContentLength": blob.size,
        "Length": blob.size,
        "ETag": blob.etag,
        "LastModified": blob.last_modified.isoformat(),
        "BlobType": "Block",
    }
    metadata = {name: {"type": "string", "value": text} for name, text in captured.items()}
    metadata |= {
        "BlobTrigger": {"type": "string", "value": f"{container}/{blob.name}"},
        "Uri": {"type": "string", "value": url},
        "Properties": {"type": "json", "value": json.dumps(properties)},
        "Metadata": {"type": "json", "value": "{}"},
    }
    return {"type": "bytes", "value": base64.b64encode(content).decode("ascii"), "metadata": metadata}
