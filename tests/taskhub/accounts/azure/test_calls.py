"""How a service's refusals reach us, asked from a server on this machine that refuses as it is told to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from aiohttp import web

from taskhub.accounts import Account, Write
from taskhub.accounts.azure import open_connection_string
from taskhub.accounts.azure.connect import AZURITE_KEY
from taskhub.errors import AccountError, AccountNotUsable, AccountUnreachable, Conflict, NotFound, PreconditionFailed

pytestmark = pytest.mark.asyncio

MINUTE = timedelta(minutes=1)
Answer = tuple[int, str, dict[str, str]]


class Service:
    """A storage service that gives the answers it was told to, and then good ones."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.requests = 0

    def refuse(self, status: int, code: str, times: int = 1, **headers: str) -> None:
        self.answers += [(status, code, {"x-ms-error-code": code, **headers})] * times

    async def handle(self, request: web.Request) -> web.Response:
        self.requests += 1
        await request.read()
        if self.answers:
            status, code, headers = self.answers.pop(0)
            body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>told to</Message></Error>"
            return web.Response(status=status, headers=headers, text=body, content_type="application/xml")
        return web.Response(status=204, headers={"etag": '"1"'})


@contextlib.asynccontextmanager
async def opened(service: Service) -> AsyncIterator[Account]:
    runner = web.AppRunner(app := web.Application())
    app.router.add_route("*", "/{path:.*}", service.handle)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    address = f"http://127.0.0.1:{runner.addresses[0][1]}/devstoreaccount1"
    account = open_connection_string(connection_string(address))
    try:
        yield account
    finally:
        await account.close()
        await runner.cleanup()


def connection_string(address: str) -> str:
    endpoints = ";".join(f"{service}Endpoint={address}" for service in ("Blob", "Queue", "Table"))
    return f"AccountName=devstoreaccount1;AccountKey={AZURITE_KEY};{endpoints}"


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (403, "AuthenticationFailed", AccountNotUsable),
        (404, "QueueNotFound", NotFound),
        (400, "PopReceiptMismatch", NotFound),
        (400, "InvalidInput", AccountError),
        (409, "QueueBeingDeleted", Conflict),
        (412, "ConditionNotMet", PreconditionFailed),
        (501, "NotImplemented", AccountUnreachable),
    ],
)
async def test_a_refusal_becomes_our_error_with_the_services_words(
    status: int, code: str, expected: type[AccountError]
) -> None:
    service = Service()
    async with opened(service) as account:
        service.refuse(status, code)
        with pytest.raises(AccountError, match=f"{status} {code}") as caught:
            await account.queues.clear("q-1")
    assert type(caught.value) is expected


@pytest.mark.parametrize("kind", ["queue", "table"])
async def test_what_is_throttled_is_tried_again(kind: str) -> None:
    service = Service()
    async with opened(service) as account:
        service.refuse(429, "TooManyRequests", times=2, **{"Retry-After": "0"})
        if kind == "queue":
            await account.queues.clear("q-1")
        else:
            await account.tables.write("Rows", Write("upsert", {"PartitionKey": "p", "RowKey": "r"}))
    assert service.requests == 3


async def test_a_busy_server_is_asked_again() -> None:
    service = Service()
    async with opened(service) as account:
        service.refuse(503, "ServerBusy")
        await account.queues.clear("q-1")
    assert service.requests == 2


async def test_one_who_stays_throttled_is_unreachable() -> None:
    service = Service()
    async with opened(service) as account:
        service.refuse(429, "TooManyRequests", times=100, **{"Retry-After": "0"})
        with pytest.raises(AccountUnreachable, match="429"):
            await account.queues.clear("q-1")


async def test_an_account_that_does_not_listen_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taskhub.accounts.azure.connect.BLOB_AND_QUEUE_RETRIES", {"retry_total": 0})
    account = open_connection_string(connection_string("http://127.0.0.1:9/devstoreaccount1"))
    with pytest.raises(AccountUnreachable, match="python scripts/azurite starts it"):
        await account.queues.clear("q-1")
    await account.close()


async def test_an_empty_queue_is_asked_less_and_less_often() -> None:
    async with opened(Service()) as account:
        loop = asyncio.get_running_loop()
        waits = []
        for _ in range(5):
            began = loop.time()
            await account.queues.arrived(["q-1"], 0.2)
            waits.append(loop.time() - began)
    assert 0.02 < waits[0] < 0.15 and waits[-1] > 0.09 and max(waits) < 1
