"""Blobs: every version is run once, whoever looks."""

from __future__ import annotations

import asyncio
import base64
import json
from datetime import timedelta
from typing import Any

import pytest

from lab.triggers import blob
from lab.triggers.context import HOSTS_CONTAINER, Listener, TriggerContext, TriggerInvalid
from tests.lab.triggers.world import FAILED, World, function, listen, play

MINUTE = timedelta(minutes=1)


def host(context: TriggerContext, path: str = "incoming/{name}", name: str = "work") -> list[Listener]:
    return blob.listeners([function("blobTrigger", name=name, path=path)], context)


async def put(world: World, name: str, text: str = "text", container: str = "incoming") -> None:
    await world.account.blobs.create(container)
    await world.account.blobs.put(container, name, text.encode())


def runs(world: World) -> list[tuple[str, str]]:
    """Name and content of what the function was run for."""
    return [
        (call.data["metadata"]["BlobTrigger"]["value"], base64.b64decode(call.data["value"]).decode())
        for call in world.notes.calls
    ]


def test_every_blob_is_run_once_by_two_hosts_also_those_that_were_there_before() -> None:
    async def main(world: World) -> None:
        await put(world, "old.txt", "1")
        listening = asyncio.create_task(listen([*host(world.context), *host(world.host())], MINUTE))
        await asyncio.sleep(10)
        await put(world, "new.txt", "2")
        await listening
        assert runs(world) == [("incoming/old.txt", "1"), ("incoming/new.txt", "2")]

    play(main)


def test_a_blob_that_is_written_again_is_run_again() -> None:
    async def main(world: World) -> None:
        await put(world, "a.txt", "1")
        await listen(host(world.context), MINUTE)
        await put(world, "a.txt", "2")
        await listen(host(world.host()), MINUTE)
        assert runs(world) == [("incoming/a.txt", "1"), ("incoming/a.txt", "2")]

    play(main)


def test_a_host_that_starts_again_repeats_nothing() -> None:
    async def main(world: World) -> None:
        await put(world, "a.txt")
        for _ in range(3):
            await listen(host(world.host()), MINUTE)
        assert len(world.notes.calls) == 1

    play(main)


def test_two_functions_each_run_for_the_same_blob() -> None:
    async def main(world: World) -> None:
        await put(world, "a.txt")
        functions = [function("blobTrigger", name=name, path="incoming/{name}") for name in ("one", "two")]
        await listen(blob.listeners(functions, world.context), MINUTE)
        assert sorted(call.function for call in world.notes.calls) == ["one", "two"]

    play(main)


def test_only_names_that_fit_the_pattern_are_run_with_their_parts() -> None:
    async def main(world: World) -> None:
        for name in ("in/a.csv", "in/b.txt", "out/c.csv"):
            await put(world, name)
        await listen(host(world.context, "incoming/in/{name}.{ext}sv"), MINUTE)
        (call,) = world.notes.calls
        metadata = call.data["metadata"]
        assert (metadata["name"]["value"], metadata["ext"]["value"]) == ("a", "c")

    play(main)


def test_a_failing_blob_is_tried_five_times_and_its_message_set_aside() -> None:
    async def main(world: World) -> None:
        async def fail(_: object) -> None:
            raise FAILED

        world.notes.act = fail
        await put(world, "bad.txt")
        await listen(host(world.context), MINUTE)
        (text,) = [message.text for message in await world.account.queues.peek("webjobs-blobtrigger-poison")]
        assert len(world.notes.calls) == 5
        assert json.loads(base64.b64decode(text))["BlobName"] == "bad.txt"

    play(main)


def test_how_often_is_host_jsons_poison_blob_threshold() -> None:
    async def main(world: World) -> None:
        async def fail(_: object) -> None:
            raise FAILED

        world.notes.act = fail
        await put(world, "bad.txt")
        await listen(host(world.host(host_json={"extensions": {"blobs": {"poisonBlobThreshold": 2}}})), MINUTE)
        assert len(world.notes.calls) == 2

    play(main)


def test_a_blob_that_changes_before_its_turn_is_run_once_as_it_is_then() -> None:
    async def main(world: World) -> None:
        scanner, queue = host(world.context)
        assert isinstance(scanner, blob.BlobScanner)
        await put(world, "a.txt", "1")
        await scanner.scan()
        await put(world, "a.txt", "2")
        await listen([scanner, queue], MINUTE)
        assert runs(world) == [("incoming/a.txt", "2")]

    play(main)


def test_a_blob_that_is_gone_before_its_turn_is_forgotten() -> None:
    async def main(world: World) -> None:
        scanner, queue = host(world.context)
        assert isinstance(scanner, blob.BlobScanner)
        await put(world, "a.txt")
        await scanner.scan()
        await world.account.blobs.delete("incoming", "a.txt")
        await listen([queue], MINUTE)
        assert world.notes.calls == []
        assert await world.account.queues.count(blob.queue_name(world.context)) == 0

    play(main)


def test_a_host_that_died_between_receipt_and_message_is_made_up_for() -> None:
    async def main(world: World) -> None:
        await put(world, "a.txt")
        found = await world.account.blobs.properties("incoming", "a.txt")
        assert found is not None
        receipt = f"blobreceipts/lab/Host.Functions.work/{found.etag}/incoming/a.txt"
        await world.account.blobs.create(HOSTS_CONTAINER)
        await world.account.blobs.put(HOSTS_CONTAINER, receipt, b"")
        await world.account.blobs.acquire_lease(HOSTS_CONTAINER, receipt, 30)
        await listen(host(world.context), MINUTE)
        assert len(world.notes.calls) == 1
        assert world.notes.calls[0].moment - found.last_modified >= timedelta(seconds=30)

    play(main)


class LateLease:
    """A blob service whose leases are asked for a little late."""

    def __init__(self, blobs: Any) -> None:
        self._blobs = blobs

    def __getattr__(self, name: str) -> Any:
        return getattr(self._blobs, name)

    async def acquire_lease(self, *arguments: Any) -> Any:
        await asyncio.sleep(1)
        return await self._blobs.acquire_lease(*arguments)


def test_a_host_that_sees_a_version_at_the_same_moment_but_gets_its_lease_later_makes_no_second_message() -> None:
    async def main(world: World) -> None:
        await put(world, "a.txt")
        (first, _), (late, _) = host(world.context), host(world.host())
        assert isinstance(first, blob.BlobScanner) and isinstance(late, blob.BlobScanner)
        late._blobs = LateLease(late._blobs)
        await asyncio.gather(late.scan(), first.scan())
        assert await world.account.queues.count(blob.queue_name(world.context)) == 1

    play(main)


def test_a_message_of_another_app_or_none_at_all_does_no_harm() -> None:
    async def main(world: World) -> None:
        queue = blob.queue_name(world.context)
        await world.account.queues.create(queue)
        gone = {"FunctionId": "Host.Functions.gone", "ContainerName": "c", "BlobName": "b", "ETag": "e"}
        for text in ("{", "[]", json.dumps(gone)):
            await world.account.queues.put(queue, base64.b64encode(text.encode()).decode())
        await put(world, "a.txt")
        await listen(host(world.context), MINUTE)
        assert len(world.notes.calls) == 1
        assert await world.account.queues.count(queue) == 0

    play(main)


def test_a_container_that_does_not_exist_yet_is_waited_for() -> None:
    async def main(world: World) -> None:
        listening = asyncio.create_task(listen(host(world.context, "later"), MINUTE))
        await asyncio.sleep(10)
        await put(world, "a", container="later")
        await listening
        assert runs(world) == [("later/a", "text")]

    play(main)


def test_the_function_is_told_what_the_service_knows_of_the_blob() -> None:
    async def main(world: World) -> None:
        await put(world, "a.txt", "1234")
        await listen(host(world.context), MINUTE)
        metadata: dict[str, Any] = world.notes.calls[0].data["metadata"]
        assert json.loads(metadata["Properties"]["value"])["ContentLength"] == 4
        assert metadata["Uri"]["value"] == world.account.blobs.url("incoming", "a.txt")

    play(main)


@pytest.mark.parametrize("path", ["", "/", "{container}/{name}", "incoming/{name}/{name}", "incoming/{not a name}"])
def test_a_path_that_cannot_be_is_refused(path: str) -> None:
    async def main(world: World) -> None:
        with pytest.raises(TriggerInvalid, match="blob trigger"):
            host(world.context, path)

    play(main)
