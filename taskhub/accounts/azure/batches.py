"""Entity-group transactions: several writes to one partition of a table in one request, all or none.

The SDK's `submit_transaction` composes and reads the request with the standard library's e-mail package, which costs
about five milliseconds of CPU for five rows: more than everything else of a checkpoint. This sends the same request
(OData's batch, as the table service documents it) through the SDK's own pipeline and policies.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import math
import re
import uuid
from collections.abc import Sequence
from datetime import datetime, timezone
from email.utils import formatdate
from typing import Any
from urllib.parse import quote, urlsplit

from azure.core import AsyncPipelineClient
from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline import PipelineRequest
from azure.core.pipeline.policies import (
    AsyncBearerTokenCredentialPolicy,
    AsyncRetryPolicy,
    AzureSasCredentialPolicy,
    RequestIdPolicy,
    SansIOHTTPPolicy,
    UserAgentPolicy,
)
from azure.core.pipeline.transport import AsyncHttpTransport
from azure.core.rest import AsyncHttpResponse, HttpRequest

from taskhub.accounts import Entity, Value, Write
from taskhub.accounts.azure.calls import TABLE_RETRIES
from taskhub.errors import AccountError

VERSION = "2019-02-02"
SCOPE = "https://storage.azure.com/.default"
INT32 = 2**31
VERBS = {("upsert", "merge"): "PATCH", ("upsert", "replace"): "PUT"}
PART = re.compile(r"HTTP/1\.1 (\d{3})[^\r\n]*\r?\n(.*?)(?=\r?\n--changesetresponse|\r?\n--batchresponse|\Z)", re.DOTALL)
ETAG = re.compile(r"^ETag:\s*(\S+)", re.IGNORECASE | re.MULTILINE)
_ACCEPTED = 202


class Batches:
    """Sends the entity-group transactions of one account."""

    def __init__(self, url: str, credential: Any, transport: AsyncHttpTransport[Any, Any]) -> None:
        """`url` is the table endpoint, with a shared access signature if there is one; `credential` the client's."""
        self._address, _, query = url.partition("?")
        self._address = self._address.rstrip("/")
        self._url = f"{self._address}/$batch" + (f"?{query}" if query else "")
        policies = [
            RequestIdPolicy(),
            UserAgentPolicy("taskhub"),
            AsyncRetryPolicy(**TABLE_RETRIES),
            *_authentication(credential),
        ]
        self._client: AsyncPipelineClient[HttpRequest, AsyncHttpResponse] = AsyncPipelineClient(
            self._address, policies=policies, transport=transport
        )

    async def send(self, table: str, writes: Sequence[Write]) -> list[str]:
        """The new etags in the order of the writes. HttpResponseError: the service's answer, for the first that failed.

        ValueError: a value that the service has no type for, or writes to several partitions.
        """
        if len({write.entity["PartitionKey"] for write in writes}) > 1:  # which Azurite would take
            raise ValueError("The writes of a transaction must be to one partition.")
        changes, batch = f"changeset_{uuid.uuid4()}", f"batch_{uuid.uuid4()}"
        address = f"{self._address}/{table}"
        parts = [_part(changes, number, address, write) for number, write in enumerate(writes)]
        body = (
            f"--{batch}\r\nContent-Type: multipart/mixed; boundary={changes}\r\n\r\n"
            + "".join(parts)
            + f"--{changes}--\r\n\r\n--{batch}--\r\n"
        )
        headers = {
            "Content-Type": f"multipart/mixed; boundary={batch}", "Accept": "application/json",
            "x-ms-version": VERSION, "DataServiceVersion": "3.0", "MaxDataServiceVersion": "3.0;NetFx",
        }  # fmt: skip
        request = HttpRequest("POST", self._url, headers=headers, content=body.encode())
        answer = await self._client.send_request(request)
        text = (await answer.read()).decode("utf-8", "replace")
        if answer.status_code != _ACCEPTED:
            raise _refusal(answer.status_code, text, answer)
        return _etags(text, answer, len(writes))


def _authentication(credential: Any) -> list[Any]:
    if credential is None:  # the signature is in the address
        return []
    if isinstance(credential, AzureNamedKeyCredential):
        return [SharedKey(credential)]
    if isinstance(credential, AzureSasCredential):
        return [AzureSasCredentialPolicy(credential)]
    return [AsyncBearerTokenCredentialPolicy(credential, SCOPE)]


class SharedKey(SansIOHTTPPolicy[Any, Any]):
    """Signs with the account's key, as the table service wants it (Shared Key, not Lite)."""

    def __init__(self, credential: AzureNamedKeyCredential) -> None:
        self._credential = credential

    def on_request(self, request: PipelineRequest[Any]) -> None:
        http, key = request.http_request, self._credential.named_key
        http.headers["x-ms-date"] = http.headers["Date"] = now = formatdate(usegmt=True)
        resource = f"/{key.name}{urlsplit(http.url).path}"
        text = "\n".join((http.method, "", http.headers["Content-Type"], now, resource))
        signature = hmac.new(base64.b64decode(key.key), text.encode(), hashlib.sha256).digest()
        http.headers["Authorization"] = f"SharedKey {key.name}:{base64.b64encode(signature).decode()}"


def _part(changes: str, number: int, address: str, write: Write) -> str:
    """One operation as the part of a change set."""
    verb, url, headers = "POST", address, ""
    if write.kind != "insert":
        keys = (quote(str(write.entity[name]).replace("'", "''"), safe="") for name in ("PartitionKey", "RowKey"))
        url = "{}(PartitionKey='{}',RowKey='{}')".format(address, *keys)
        verb = "DELETE" if write.kind == "delete" else VERBS["upsert", write.mode]
    if write.kind in ("update", "delete"):
        headers = f"If-Match: {write.etag or '*'}\r\n"
    content = ""
    if write.kind != "delete":
        content = encoded(write.entity)
        headers += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n"
    if write.kind == "insert":
        headers += "Prefer: return-no-content\r\n"
    return (
        f"--{changes}\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n"
        f"Content-ID: {number}\r\n\r\n{verb} {url} HTTP/1.1\r\nx-ms-version: {VERSION}\r\nDataServiceVersion: 3.0\r\n"
        f"Accept: application/json;odata=minimalmetadata\r\n{headers}\r\n{content}\r\n"
    )


def encoded(entity: Entity) -> str:
    """An entity as the table service's JSON (in ASCII); a column that JSON has no type for is told by a second one."""
    sent: dict[str, Any] = {}
    for name, value in entity.items():
        if value is not None:
            sent[name], kind = _typed(name, value)
            if kind:
                sent[f"{name}@odata.type"] = kind
    return json.dumps(sent, separators=(",", ":"))


def _typed(name: str, value: Value) -> tuple[Any, str]:
    if isinstance(value, (str, bool)):
        return value, ""
    if isinstance(value, int):
        return (value, "") if -INT32 <= value < INT32 else (str(value), "Edm.Int64")
    if isinstance(value, float):
        return _float(value), "Edm.Double"
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise AccountError(f"Column {name}: {value.isoformat()} has no time zone; a storage account keeps UTC.")
        return f"{value.astimezone(timezone.utc):%Y-%m-%dT%H:%M:%S.%fZ}", "Edm.DateTime"
    raise ValueError(f"Column {name}: a table has no type for {type(value).__name__}.")


def _float(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _etags(text: str, answer: AsyncHttpResponse, count: int) -> list[str]:
    etags = []
    for status, rest in PART.findall(text):
        if not 200 <= int(status) < 300:
            raise _refusal(int(status), rest, answer)
        found = ETAG.search(rest)
        etags.append(found.group(1) if found else "")
    if len(etags) != count:
        raise HttpResponseError(f"{len(etags)} of {count} writes were answered: {text[:200]!r}", response=answer)
    return etags


def _refusal(status: int, text: str, answer: AsyncHttpResponse) -> HttpResponseError:
    """The service's `{"odata.error": {"code", "message": {"value"}}}` as the SDK's error."""
    code, message = "", text[:200]
    begin = text.find("{")
    try:
        told = json.loads(text[begin : text.rfind("}") + 1])["odata.error"] if begin >= 0 else {}
        code, message = str(told.get("code", "")), str(told.get("message", {}).get("value", message))
    except (ValueError, KeyError, AttributeError):  # a proxy's page; its beginning is the message
        pass
    error = HttpResponseError(message, response=answer)
    error.status_code, error.message = status, message
    error.error_code = code  # type: ignore[attr-defined]
    return error
