"""Entity-group transactions as the table service reads them, without a server."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from types import TracebackType
from typing import Any

import pytest
from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline.transport import AsyncHttpTransport
from azure.core.rest import HttpRequest

from taskhub.accounts import Entity, Write
from taskhub.accounts.azure.batches import Batches, encoded
from taskhub.errors import AccountError

KEY = AzureNamedKeyCredential("devstoreaccount1", "a2V5")
ENDPOINT = "http://127.0.0.1:10002/devstoreaccount1"
ROW: Entity = {"PartitionKey": "it's 1", "RowKey": "r", "Number": 1}


def told(*parts: str) -> str:
    """A batch response with these parts."""
    boundary = "--changesetresponse_1\r\nContent-Type: application/http\r\n\r\n"
    body = "".join(f"{boundary}{part}\r\n" for part in parts)
    return f"--batchresponse_1\r\n\r\n{body}--changesetresponse_1--\r\n--batchresponse_1--\r\n"


def written(etag: str) -> str:
    return f"HTTP/1.1 204 No Content\r\nDataServiceVersion: 3.0;\r\nETag: {etag}\r\n\r\n"


def refused(status: str, code: str) -> str:
    error = {"odata.error": {"code": code, "message": {"lang": "en-US", "value": "0:No.\nRequestId:1"}}}
    return f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n\r\n{json.dumps(error)}"


class Answer:
    def __init__(self, request: HttpRequest, status: int, text: str) -> None:
        self.request, self.status_code, self._text = request, status, text
        self.headers: dict[str, str] = {}
        self.reason = "because"

    async def read(self) -> bytes:
        return self._text.encode()

    def text(self) -> str:
        return self._text


class Wire(AsyncHttpTransport[Any, Any]):
    """Keeps what is sent; answers with the next of the given answers."""

    def __init__(self, *answers: tuple[int, str]) -> None:
        self.sent: list[HttpRequest] = []
        self.answers = list(answers)

    async def send(self, request: HttpRequest, **options: Any) -> Any:
        self.sent.append(request)
        return Answer(request, *self.answers.pop(0))

    async def sleep(self, seconds: float) -> None:
        pass

    async def open(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        pass

    @property
    def body(self) -> str:
        content: Any = self.sent[-1].content
        return bytes(content).decode()


async def test_each_kind_of_write_becomes_the_operation_of_its_name() -> None:
    wire = Wire((202, told(*map(written, "abcde"))))
    writes = [
        Write("insert", ROW), Write("upsert", ROW, "merge"), Write("upsert", ROW),
        Write("update", ROW, "merge", etag='W/"1"'), Write("delete", ROW),
    ]  # fmt: skip
    assert await Batches(ENDPOINT, KEY, wire).send("Rows", writes) == ["a", "b", "c", "d", "e"]
    verbs = [line for line in wire.body.split("\r\n") if line.endswith(" HTTP/1.1")]
    address = f"{ENDPOINT}/Rows(PartitionKey='it%27%27s%201',RowKey='r')"
    assert verbs == [
        f"POST {ENDPOINT}/Rows HTTP/1.1", f"PATCH {address} HTTP/1.1", f"PUT {address} HTTP/1.1",
        f"PATCH {address} HTTP/1.1", f"DELETE {address} HTTP/1.1",
    ]  # fmt: skip
    assert [line for line in wire.body.split("\r\n") if line.startswith("If-Match")] == [
        'If-Match: W/"1"', "If-Match: *",
    ]  # fmt: skip


async def test_the_error_is_that_of_the_write_that_was_refused() -> None:
    wire = Wire((202, told(refused("412 Precondition Failed", "UpdateConditionNotSatisfied"))))
    with pytest.raises(HttpResponseError) as caught:
        await Batches(ENDPOINT, KEY, wire).send("Rows", [Write("upsert", ROW), Write("insert", ROW)])
    error: Any = caught.value
    assert (error.status_code, error.error_code) == (412, "UpdateConditionNotSatisfied")
    assert str(error).startswith("0:No.")


async def test_what_refuses_the_whole_request_is_told_with_its_own_words() -> None:
    wire = Wire((403, '{"odata.error":{"code":"AuthenticationFailed","message":{"value":"Server failed."}}}'))
    with pytest.raises(HttpResponseError) as caught:
        await Batches(ENDPOINT, KEY, wire).send("Rows", [Write("insert", ROW)])
    error: Any = caught.value
    assert (error.status_code, error.error_code, error.message) == (403, "AuthenticationFailed", "Server failed.")


async def test_an_answer_that_is_not_the_services_is_an_error_and_not_a_success() -> None:
    for status, text in ((202, "<html>welcome</html>"), (400, '{"odata.error": 7}'), (502, "bad gateway {")):
        wire = Wire(*[(status, text)] * 5)
        with pytest.raises(HttpResponseError):
            await Batches(ENDPOINT, KEY, wire).send("Rows", [Write("insert", ROW)])


async def test_a_busy_service_is_asked_again_with_a_signature_of_its_own_time() -> None:
    wire = Wire((503, "busy"), (202, told(written("a"))))
    assert await Batches(ENDPOINT, KEY, wire).send("Rows", [Write("insert", ROW)]) == ["a"]
    assert len(wire.sent) == 2
    assert wire.sent[1].headers["Authorization"].startswith("SharedKey devstoreaccount1:")


@pytest.mark.parametrize("where", ["in the address", "as a credential"])
async def test_a_shared_access_signature_goes_into_the_query(where: str) -> None:
    wire = Wire((202, told(written("a"))))
    batches = {
        "in the address": Batches(f"{ENDPOINT}?sig=1", None, wire),
        "as a credential": Batches(ENDPOINT, AzureSasCredential("sig=1"), wire),
    }
    await batches[where].send("Rows", [Write("insert", ROW)])
    assert wire.sent[0].url == f"{ENDPOINT}/$batch?sig=1"
    assert "Authorization" not in wire.sent[0].headers


def test_columns_have_the_types_of_the_service() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=timezone.utc)
    entity: Entity = {
        "Text": "é\ud83d", "Small": -(2**31), "Large": 2**31, "Yes": True, "Whole": 2.0, "None": float("nan"),
        "Below": float("-inf"), "When": moment,
    }  # fmt: skip
    assert json.loads(encoded(entity)) == {
        "Text": "é\ud83d", "Small": -(2**31), "Large": "2147483648", "Large@odata.type": "Edm.Int64", "Yes": True,
        "Whole": 2.0, "Whole@odata.type": "Edm.Double", "None": "NaN", "None@odata.type": "Edm.Double",
        "Below": "-Infinity", "Below@odata.type": "Edm.Double",
        "When": "2026-01-02T03:04:05.000006Z", "When@odata.type": "Edm.DateTime",
    }  # fmt: skip


def test_a_value_without_a_type_or_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="Column X: a table has no type for bytes"):
        encoded({"X": b"1"})  # type: ignore[dict-item]
    with pytest.raises(AccountError, match="no time zone"):
        encoded({"X": datetime(2026, 1, 1)})
