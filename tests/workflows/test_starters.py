"""The endpoints that serve every workflow: start, signal, status, catalogue, and what they refuse."""

import asyncio
import json
from typing import Any

import pytest

import workflows
from tests.workflows.driver import Client, World
from tests.workflows.endpoints import call
from workflows import starters
from workflows.responses import Conflict, HubUnavailable

NAME = {"name": "external_event"}


@pytest.fixture
def hub() -> World:
    return World()


def test_a_start_answers_202_with_the_status_links_of_the_new_instance(hub: World) -> None:
    answer = call(hub, "start_workflow", {"a": 1}, route=NAME, params={"id": "A-1"})
    assert answer.status == 202 and answer.body["id"] == "A-1"
    assert answer.headers["Location"] == answer.body["statusQueryGetUri"]
    assert "/instances/A-1?" in answer.body["statusQueryGetUri"]
    assert json.loads(hub.instances["A-1"].input or "") == {"a": 1}


def test_a_start_without_an_id_makes_one_of_32_hex_digits(hub: World) -> None:
    instance_id = call(hub, "start_workflow", route=NAME).body["id"]
    assert len(instance_id) == 32 and int(instance_id, 16)


def test_links_carry_the_public_address_when_it_is_set(hub: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUBLIC_BASE_URL", "https://shop.example.com/")
    links = call(hub, "start_workflow", route=NAME, params={"id": "A-1"}).body
    assert links["statusQueryGetUri"].startswith("https://shop.example.com/runtime/webhooks/durabletask/instances/A-1?")
    assert links["id"] == "A-1"


def test_a_repeated_start_with_the_same_id_answers_with_the_first_and_starts_nothing(hub: World) -> None:
    first = call(hub, "start_workflow", {"n": 1}, route=NAME, params={"id": "A-1"})
    again = call(hub, "start_workflow", {"n": 2}, route=NAME, params={"id": "A-1"})
    assert again.body == first.body and json.loads(hub.instances["A-1"].input or "") == {"n": 1}


def test_a_repeated_start_finds_a_finished_instance_too(hub: World) -> None:
    call(hub, "start_workflow", route={"name": "hello_cities"}, params={"id": "A-1"})
    hub.settle()
    assert call(hub, "start_workflow", route={"name": "hello_cities"}, params={"id": "A-1"}).status == 202
    hub.settle()
    assert hub.calls["say_hello"] == 3


def test_an_idempotency_key_stands_for_one_instance_of_one_workflow(hub: World) -> None:
    key = {"Idempotency-Key": "request 1"}
    first = call(hub, "start_workflow", route=NAME, headers=key).body["id"]
    assert call(hub, "start_workflow", route=NAME, headers=key).body["id"] == first
    assert call(hub, "start_workflow", route={"name": "hello_cities"}, headers=key).body["id"] != first


def test_an_id_of_another_workflow_is_a_conflict(hub: World) -> None:
    call(hub, "start_workflow", route=NAME, params={"id": "A-1"})
    answer = call(hub, "start_workflow", route={"name": "hello_cities"}, params={"id": "A-1"})
    assert answer.status == 409 and "external_event" in answer.body["message"]


def test_of_two_starts_at_once_the_second_finds_the_first(hub: World) -> None:
    class Late(Client):
        """Does not see the first start when it looks before its own."""

        looks = 0

        async def get_status(self, *args: Any, **named: Any) -> Any:
            self.looks += 1
            return None if self.looks == 1 else await super().get_status(*args, **named)

    hub.start("external_event", {"n": 1}, "A-1")
    asyncio.run(starters.start_once(Late(hub), "external_event", "A-1", {"n": 2}))
    assert json.loads(hub.instances["A-1"].input or "") == {"n": 1}


def test_a_start_that_fails_for_another_reason_is_not_called_started(hub: World) -> None:
    class Broken(Client):
        async def start_new(self, *args: Any, **named: Any) -> str:
            raise RuntimeError("storage is away")

    with pytest.raises(HubUnavailable, match="storage is away"):
        asyncio.run(starters.start_once(Broken(hub), "external_event", "A-1", None))


def test_a_status_that_cannot_be_read_is_not_taken_for_no_instance(hub: World) -> None:
    client = Client(hub)

    async def failing(url: str) -> list[Any]:
        return [500, {"Message": "Something went wrong", "ExceptionMessage": "storage is away"}]

    client._get_async_request = failing
    with pytest.raises(HubUnavailable, match="storage is away"):
        asyncio.run(starters.start_once(client, "external_event", "A-1", None))
    assert not hub.instances


def test_a_single_may_follow_a_finished_one_but_never_a_running_one(hub: World) -> None:
    client = Client(hub)
    hub.start("external_event", None, "one")
    assert asyncio.run(starters.start_single(client, "external_event", "one", None)) is False
    hub.settle()
    hub.raise_event("one", "event", 1)
    hub.settle()
    assert asyncio.run(starters.start_single(client, "external_event", "one", None)) is True


def test_an_unknown_workflow_is_404_and_lists_the_known_ones(hub: World) -> None:
    answer = call(hub, "start_workflow", route={"name": "nonsense"})
    assert answer.status == 404 and "external_event" in answer.body["workflows"]


def test_a_workflow_is_found_in_any_letters(hub: World) -> None:
    assert call(hub, "start_workflow", route={"name": "External_Event"}).status == 202


@pytest.mark.parametrize("wanted", ["@a", "a/b", "a b", "a?b", "ü", "", "a%41", "x" * 201])
def test_an_id_that_links_could_not_carry_is_refused(hub: World, wanted: str) -> None:
    answer = call(hub, "start_workflow", route=NAME, params={"id": wanted})
    assert answer.status == 400 and answer.fields() == ["id"] and not hub.instances


@pytest.mark.parametrize("body", [b"{", b"NaN", b"1e999", b"\xff", b'{"__class__": "X"}', b'[{"a": {"__class__": 1}}]'])
def test_a_body_that_is_not_plain_json_is_refused(hub: World, body: bytes) -> None:
    answer = call(hub, "start_workflow", route=NAME, body=body)
    assert answer.status == 400 and answer.fields() == ["body"] and not hub.instances


def test_a_body_nested_without_end_is_refused(hub: World) -> None:
    assert call(hub, "start_workflow", route=NAME, body=b"[" * 200_000).status == 400


def test_a_body_over_the_limit_is_413(hub: World) -> None:
    answer = call(hub, "start_workflow", route=NAME, body=b'"' + b"x" * 1024 * 1024 + b'"')
    assert answer.status == 413 and not hub.instances


@pytest.mark.parametrize("data", [None, 0, "", [], False, {"deep": [1, {"ü": "雪"}]}])
def test_an_event_brings_any_json_to_the_orchestration(hub: World, data: Any) -> None:
    hub.start("external_event", None, "A-1")
    hub.settle()
    assert call(hub, "send_external_event", {"instanceId": "A-1", "data": data}).status == 202
    hub.settle()
    assert (hub.instances["A-1"].status, hub.instances["A-1"].output) == ("Completed", data)


def test_an_event_waits_until_its_instance_has_begun_since_the_hub_would_throw_it_away(
    hub: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starters, "SECONDS_BETWEEN_LOOKS", 0)

    class Slow(Client):
        looks = 0

        async def get_status(self, *args: Any, **named: Any) -> Any:
            self.looks += 1
            if self.looks == 3:
                self.world.settle()
            return await super().get_status(*args, **named)

    hub.start("external_event", None, "A-1")
    asyncio.run(starters.raise_event(Slow(hub), "A-1", "event", "early"))
    hub.settle()
    assert hub.instances["A-1"].output == "early"


def test_an_event_for_an_instance_that_does_not_begin_is_503(hub: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starters, "SECONDS_BETWEEN_LOOKS", 0)
    hub.start("external_event", None, "A-1")
    answer = call(hub, "send_external_event", {"instanceId": "A-1", "data": "early"})
    assert answer.status == 503 and "send it again" in answer.body["message"]


def test_a_raw_event_is_understood_as_well_as_the_client_s(hub: World) -> None:
    for number, by_client in enumerate((True, False)):
        hub.start("external_event", None, f"A-{number}")
        hub.settle()
        hub.raise_event(f"A-{number}", "event", {"at": "2026-01-31T12:00:00Z"}, by_client)
        hub.settle()
    assert hub.instances["A-0"].output == hub.instances["A-1"].output == {"at": "2026-01-31T12:00:00Z"}


def test_an_event_for_an_unknown_instance_is_404(hub: World) -> None:
    assert call(hub, "send_external_event", {"instanceId": "nobody"}).status == 404


def test_an_event_for_a_finished_instance_is_410(hub: World) -> None:
    hub.run("hello_cities", None, "A-1")
    answer = call(hub, "send_external_event", {"instanceId": "A-1"})
    assert answer.status == 410 and "Completed" in answer.body["message"]


def test_an_instance_that_ends_between_look_and_event_is_410_as_well(hub: World) -> None:
    class Late(Client):
        async def raise_event(self, instance_id: str, *args: Any, **named: Any) -> None:
            hub.instances[instance_id].status = "Completed"
            await super().raise_event(instance_id, *args, **named)

    hub.start("external_event", None, "A-1")
    hub.settle()
    with pytest.raises(starters.Gone):
        asyncio.run(starters.raise_event(Late(hub), "A-1", "event", 1))


@pytest.mark.parametrize(
    "data, field",
    [
        ([], "body"),
        ({}, "instanceId"),
        ({"instanceId": 5}, "instanceId"),
        ({"instanceId": "A", "event": "x"}, "event"),
        ({"instanceId": "A", "eventName": "a/b"}, "eventName"),
        ({"instanceId": "a/b"}, "instanceId"),
    ],
)
def test_a_malformed_event_is_refused_by_field(hub: World, data: Any, field: str) -> None:
    answer = call(hub, "send_external_event", data)
    assert answer.status == 400 and field in answer.fields()


def test_a_status_is_202_with_retry_after_until_the_instance_has_ended(hub: World) -> None:
    hub.start("external_event", {"a": 1}, "A-1")
    hub.settle()
    answer = call(hub, "get_instance", route={"id": "A-1"})
    assert (answer.status, answer.headers["Retry-After"]) == (202, "5") and "Location" in answer.headers
    assert answer.body["runtimeStatus"] == "Running" and answer.body["input"] == {"a": 1}
    assert answer.body["customStatus"] == {"waiting_for": "event"}
    hub.raise_event("A-1", "event", "x")
    hub.settle()
    assert call(hub, "get_instance", route={"id": "A-1"}).body["output"] == "x"


def test_a_status_of_nobody_is_404(hub: World) -> None:
    assert call(hub, "get_instance", route={"id": "nobody"}).status == 404


def test_the_catalogue_lists_every_workflow_with_a_working_checker(hub: World) -> None:
    listed = call(hub, "list_workflows").body
    assert [entry["name"] for entry in listed] == [workflow.name for workflow in workflows.CATALOGUE]
    assert all(callable(workflow.checker()) for workflow in workflows.CATALOGUE)


def test_health_answers_without_storage(hub: World) -> None:
    assert call(hub, "health").status == 200


def test_a_conflict_carries_its_status() -> None:
    assert Conflict("no").status == 409
