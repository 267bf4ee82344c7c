"""Which account, with which credential: a connection string, an identity, or the platform's own settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from azure.core.pipeline.transport import AioHttpTransport
from azure.data.tables.aio import TableServiceClient
from azure.identity.aio import DefaultAzureCredential, ManagedIdentityCredential
from azure.storage.blob.aio import BlobServiceClient
from azure.storage.queue.aio import QueueServiceClient

from taskhub.accounts import FORMS, Account
from taskhub.accounts.azure.batches import Batches
from taskhub.accounts.azure.blobs import AzureBlobs
from taskhub.accounts.azure.calls import BLOB_AND_QUEUE_RETRIES, BLOCKS, HTTP_LOGGER, TABLE_RETRIES, TIMEOUTS, Caller
from taskhub.accounts.azure.queues import AzureQueues
from taskhub.accounts.azure.tables import AzureTables
from taskhub.errors import AccountNotUsable

SETTING = "AzureWebJobsStorage"

# Azurite's account and key, the same on every machine and published in its documentation.
AZURITE_ACCOUNT = "devstoreaccount1"
AZURITE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
AZURITE_ADVICE = " Is Azurite running? python scripts/azurite starts it."

Services = tuple[BlobServiceClient, QueueServiceClient, TableServiceClient]


@dataclass
class AzureAccount(Account):
    """A storage account behind its endpoints."""

    resources: list[Any] = field(kw_only=True)

    async def close(self) -> None:
        for resource in self.resources:
            await resource.close()


def open_connection_string(text: str) -> Account:
    """Opens the account of a connection string, `UseDevelopmentStorage=true` included.

    Nothing is sent yet. AccountNotUsable: the string is incomplete; the message never shows a key.
    """
    settings = _parse(_expanded(text))
    transport = _transport()
    retries = {"transport": transport, "logger": HTTP_LOGGER, **TIMEOUTS}
    joined = ";".join(f"{name}={value}" for name, value in settings.items())
    try:
        services = (
            BlobServiceClient.from_connection_string(joined, **retries, **BLOB_AND_QUEUE_RETRIES, **BLOCKS),
            QueueServiceClient.from_connection_string(joined, **retries, **BLOB_AND_QUEUE_RETRIES),
            TableServiceClient.from_connection_string(joined, **retries, **TABLE_RETRIES),
        )
    except (ValueError, KeyError) as error:
        raise AccountNotUsable(
            f"The connection string is incomplete: {error}. It needs AccountName and AccountKey, "
            f"or an endpoint and a SharedAccessSignature. {FORMS}"
        ) from error
    return _account(services, transport, settings.get("AccountName"))


def open_by_identity(name: str, client_id: str | None = None, managed: bool = False) -> Account:
    """Opens an account by the identity that the environment offers (managed identity, Azure CLI, …)."""
    addresses = {kind: f"https://{name}.{kind}.core.windows.net" for kind in ("blob", "queue", "table")}
    return _open_addresses(addresses, client_id, managed)


def from_settings(environ: Mapping[str, str], setting: str = SETTING) -> Account:
    """Opens the account that the platform's settings name.

    Either the setting itself (a connection string), or `…__accountName`, or `…__blobServiceUri`, `…__queueServiceUri`
    and `…__tableServiceUri`; with `…__credential` = managedidentity and `…__clientId` for one certain identity.
    AccountNotUsable: none of them is set, or they are incomplete.
    """
    if text := environ.get(setting):
        return open_connection_string(text)
    part = {name: environ.get(f"{setting}__{name}") for name in ("accountName", "credential", "clientId")}
    addresses = {kind: environ.get(f"{setting}__{kind}ServiceUri") for kind in ("blob", "queue", "table")}
    managed = (part["credential"] or "").lower() == "managedidentity"
    if part["credential"] and not managed:
        raise AccountNotUsable(f"{setting}__credential is {part['credential']!r}; the platform knows managedidentity.")
    if part["accountName"]:
        for kind, address in addresses.items():
            addresses[kind] = address or f"https://{part['accountName']}.{kind}.core.windows.net"
    missing = [f"{setting}__{kind}ServiceUri" for kind, address in addresses.items() if not address]
    if len(missing) == len(addresses):
        raise AccountNotUsable(
            f"No storage account is set: neither {setting} (a connection string) nor {setting}__accountName. {FORMS}"
        )
    if missing:
        raise AccountNotUsable(f"{' and '.join(missing)} must be set too, or {setting}__accountName alone.")
    return _open_addresses({kind: address or "" for kind, address in addresses.items()}, part["clientId"], managed)


def _open_addresses(addresses: Mapping[str, str], client_id: str | None, managed: bool) -> Account:
    for kind, address in addresses.items():
        if urlsplit(address).scheme != "https":
            raise AccountNotUsable(f"The {kind} service's address {address!r} must begin with https://.")
    credential: Any
    if managed:
        credential = ManagedIdentityCredential(client_id=client_id)
    else:
        credential = DefaultAzureCredential(managed_identity_client_id=client_id)
    transport = _transport()
    options = {"credential": credential, "transport": transport, "logger": HTTP_LOGGER, **TIMEOUTS}
    services = (
        BlobServiceClient(addresses["blob"], **options, **BLOB_AND_QUEUE_RETRIES, **BLOCKS),
        QueueServiceClient(addresses["queue"], **options, **BLOB_AND_QUEUE_RETRIES),
        TableServiceClient(addresses["table"], **options, **TABLE_RETRIES),
    )
    return _account(services, transport, None, credential)


def _account(services: Services, transport: AioHttpTransport, name: str | None, *closed_last: Any) -> Account:
    blobs, queues, tables = services
    address = blobs.url.split("?")[0].rstrip("/")
    found = name or blobs.account_name or (urlsplit(address).hostname or "account").split(".")[0]
    local = urlsplit(address).hostname in ("127.0.0.1", "localhost", "::1")
    caller = Caller(address, AZURITE_ADVICE if local else "")
    return AzureAccount(
        name=found,
        tables=AzureTables(tables, caller, Batches(tables.url, tables.credential, transport)),
        queues=AzureQueues(queues, caller),
        blobs=AzureBlobs(blobs, caller),
        description=address,
        resources=[blobs, queues, tables, transport, *closed_last],
    )


def _transport() -> AioHttpTransport:
    """One for all services, so that they share connections.

    Looking for proxies in the environment costs a change of thread for every request, so it is asked once.
    """
    return AioHttpTransport(use_env_settings=bool(getproxies()), **TIMEOUTS)


def _parse(text: str) -> dict[str, str]:
    settings: dict[str, str] = {}
    for number, part in enumerate(filter(None, (part.strip() for part in text.split(";"))), start=1):
        key, equals, value = part.partition("=")
        if not equals or not value:
            raise AccountNotUsable(f"Part {number} of the connection string is not NAME=VALUE. {FORMS}")
        settings[key.strip()] = value.strip()
    return settings


def _expanded(text: str) -> str:
    """The full connection string of Azurite, which the SDK's clients do not all know by its short name."""
    if not re.search(r"(^|;)\s*UseDevelopmentStorage\s*=\s*true", text, re.IGNORECASE):
        return text
    proxy = re.search(r"DevelopmentStorageProxyUri\s*=\s*([^;]+)", text)
    host = (proxy.group(1) if proxy else "http://127.0.0.1").rstrip("/")
    parts = [f"DefaultEndpointsProtocol={urlsplit(host).scheme}", f"AccountName={AZURITE_ACCOUNT}"]
    parts.append(f"AccountKey={AZURITE_KEY}")
    for service, port in (("Blob", 10000), ("Queue", 10001), ("Table", 10002)):
        parts.append(f"{service}Endpoint={host}:{port}/{AZURITE_ACCOUNT}")
    return ";".join(parts)
