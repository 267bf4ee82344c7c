"""Partition leases between hosts that share a hub, and the app lease between apps; time is the test's."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from lab.partitions import LeaseOptions, Partitions
from taskhub.accounts import Account, Blobs, open_account
from taskhub.accounts.embedded import EmbeddedAccount
from taskhub.accounts.replication import copy_account
from taskhub.clock import ManualClock
from taskhub.errors import AccountUnreachable, InvalidOperation
from taskhub.hub import HubSettings, TaskHub
from taskhub.layout import app_lease_id

ALL = frozenset(range(4))
NONE: frozenset[int] = frozenset()
INFO = "shophub-appleaseinfo"
NO_APP_LEASE = LeaseOptions(use_app_lease=False)


class Line:
    """A host's own line to the blob service: it can be cut, and it can go dead without an answer."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self.cut = False
        self.dead = False
        self.calls = 0

    def __getattr__(self, name: str) -> Callable[..., Any]:
        self.calls += 1
        if self.dead:
            return self._never
        if self.cut:
            raise AccountUnreachable("The line is cut.")
        return cast("Callable[..., Any]", getattr(self._blobs, name))

    async def _never(self, *arguments: Any, **options: Any) -> None:
        await asyncio.Event().wait()


class Host:
    """A host of the hub: its partitions, its line, and what it was told."""

    def __init__(
        self, account: Account, clock: ManualClock, hub: HubSettings, worker: str, app: str, options: LeaseOptions
    ) -> None:
        self.account = copy.copy(account)
        self.line = Line(account.blobs)
        self.account.blobs = cast(Blobs, self.line)
        self.told: list[frozenset[int]] = []
        self.changed = asyncio.Event()
        task_hub = TaskHub(self.account, hub, clock)
        self.partitions = Partitions(task_hub, clock, worker, app, options, self._change)

    def _change(self, owned: frozenset[int]) -> None:
        self.told.append(owned)
        self.changed.set()

    @property
    def owned(self) -> frozenset[int]:
        return self.partitions.owned

    async def step(self) -> None:
        await self.partitions.step()


class World:
    """One account with a hub in it, and the time."""

    def __init__(self, account: Account, clock: ManualClock) -> None:
        self.account, self.clock = account, clock
        self.hub = HubSettings("ShopHub")

    def host(self, worker: str, app: str = "shop", options: LeaseOptions = LeaseOptions()) -> Host:  # noqa: B008
        return Host(self.account, self.clock, self.hub, worker, app, options)

    async def started(self, worker: str, app: str = "shop", options: LeaseOptions = LeaseOptions()) -> Host:  # noqa: B008
        host = self.host(worker, app, options)
        await host.step()
        return host

    async def pass_time(self, seconds: int, *hosts: Host) -> None:
        """Each second, every host does what is due, and no partition is owned twice."""
        for _ in range(seconds):
            self.clock.advance(timedelta(seconds=1))
            for host in hosts:
                await host.step()
                assert sum(len(one.owned) for one in hosts) == len(NONE.union(*(one.owned for one in hosts)))

    async def seconds_until(self, reached: Callable[[], bool], *hosts: Host) -> int:
        for seconds in range(1000):
            if reached():
                return seconds
            await self.pass_time(1, *hosts)
        raise AssertionError("never reached")

    async def text(self, name: str, container: str = "shophub-leases") -> dict[str, Any]:
        return cast("dict[str, Any]", json.loads(await self.account.blobs.get(container, name)))

    async def leased(self, kind: str) -> list[int]:
        found = [blob async for blob in self.account.blobs.list("shophub-leases", f"{kind}/")]
        return [int(blob.name[-2:]) for blob in found if blob.leased]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    clock = ManualClock()
    account = await open_account(":memory:", clock)
    await TaskHub(account, HubSettings("ShopHub"), clock).create()
    yield World(account, clock)
    await account.close()


async def two_hosts(world: World, options: LeaseOptions = LeaseOptions()) -> tuple[Host, Host]:  # noqa: B008
    """Two hosts of one app that have shared the partitions."""
    first, second = await world.started("w1", options=options), await world.started("w2", options=options)
    await world.pass_time(30, first, second)
    return first, second


# partitions: one host


async def test_a_host_alone_owns_every_partition_with_its_first_step(world: World) -> None:
    host = await world.started("w1")
    assert host.owned == ALL and host.told == [ALL]


async def test_lease_blobs_say_what_the_platform_writes(world: World) -> None:
    await world.started("stamp:g1")
    for kind in ("intent", "ownership"):
        content = await world.account.blobs.get("shophub-leases", f"{kind}/shophub-control-01")
        token = json.loads(content)["Token"]
        owner = f'"Owner":"stamp:g1","Token":"{token}"'
        assert content.decode() == f'{{"PartitionId":"shophub-control-01",{owner},"Epoch":1}}' and len(token) == 36
        assert await world.leased(kind) == [0, 1, 2, 3]


async def test_leases_are_kept_as_long_as_the_host_lives(world: World) -> None:
    host = await world.started("w1")
    await world.pass_time(300, host)
    assert host.told == [ALL]
    assert (await world.text("intent/shophub-control-00"))["Epoch"] == 1


async def test_between_what_is_due_a_step_asks_nothing_of_the_account(world: World) -> None:
    host = await world.started("w1")
    await world.pass_time(1, host)
    before = host.line.calls
    await world.pass_time(3, host)
    assert host.line.calls == before


async def test_leases_are_dropped_when_their_time_is_over_by_our_own_clock(world: World) -> None:
    host = await world.started("w1")
    host.line.cut = True
    await world.pass_time(14, host)
    assert host.owned == ALL
    world.clock.advance(timedelta(seconds=1))
    assert host.owned == NONE  # without another step
    await host.step()
    assert host.told == [ALL, NONE]


async def test_a_lease_nobody_took_meanwhile_is_renewed_when_the_account_answers_again(world: World) -> None:
    host = await world.started("w1")
    host.line.cut = True
    await world.pass_time(100, host)
    host.line.cut = False
    await world.pass_time(1, host)
    assert host.owned == ALL and (await world.text("ownership/shophub-control-03"))["Epoch"] == 1


async def test_trouble_with_the_account_is_logged_once_and_its_end_too(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    host = await world.started("w1", options=NO_APP_LEASE)
    host.line.cut = True
    await world.pass_time(60, host)
    assert [record.message for record in caplog.records] == [
        "The leases cannot be kept now and lapse if that lasts; still trying. The line is cut."
    ]
    host.line.cut = False
    await world.pass_time(1, host)
    assert caplog.messages[1:] == ["The leases can be kept again; this host owns partitions [0, 1, 2, 3]."]


async def test_an_account_that_is_lost_at_the_start_is_tried_until_it_answers(world: World) -> None:
    host = world.host("w1")
    host.line.cut = True
    await world.pass_time(20, host)
    host.line.cut = False
    await world.pass_time(1, host)
    assert host.owned == ALL


async def test_lease_blobs_that_say_nothing_readable_are_written_anew(world: World) -> None:
    for text in (b"\xff\x00", b"[1]", b'{"Owner": 7, "Token": {}, "Epoch": "x"}'):
        await world.account.blobs.put("shophub-leases", "intent/shophub-control-02", text)
        host = await world.started("w1")
        assert host.owned == ALL
        await host.partitions.drain_and_release()


async def test_a_hub_without_its_lease_container_gets_one(world: World) -> None:
    await world.account.blobs.drop("shophub-leases")
    assert (await world.started("w1")).owned == ALL


# partitions: restart


async def test_a_restarted_host_with_the_same_worker_id_goes_on_at_once(world: World) -> None:
    await world.started("w1")
    again = await world.started("w1")
    assert again.owned == ALL
    assert (await world.text("intent/shophub-control-00"))["Epoch"] == 1


async def test_a_restarted_host_does_not_take_back_what_was_taken_over(world: World) -> None:
    await world.started("w1", options=NO_APP_LEASE)
    second = world.host("w2", options=NO_APP_LEASE)
    await world.pass_time(60, second)
    assert (await world.started("w1", options=NO_APP_LEASE)).owned == NONE and second.owned == ALL


async def test_a_promoted_copy_is_taken_at_once_whoever_its_lease_blobs_name(tmp_path: Path) -> None:
    clock = ManualClock()
    account = await open_account(str(tmp_path / "primary.db"), clock)
    await TaskHub(account, HubSettings("ShopHub"), clock).create()
    await World(account, clock).started("west", app="shop-west")
    copy_account(cast(EmbeddedAccount, account), tmp_path / "copy.db", "primary")
    promoted = World(await open_account(str(tmp_path / "copy.db"), clock), clock)
    assert (await promoted.text("intent/shophub-control-00"))["Owner"] == "west"
    assert (await promoted.started("north", app="shop-north")).owned == ALL
    await account.close()
    await promoted.account.close()


# partitions: several hosts


async def test_two_hosts_share_the_partitions_evenly_and_stay_so(world: World) -> None:
    first, second = await two_hosts(world)
    assert len(first.owned) == len(second.owned) == 2 and first.owned | second.owned == ALL
    before = len(first.told)
    await world.pass_time(100, first, second)
    assert len(first.told) == before


@pytest.mark.parametrize("count", [3, 4, 5])
async def test_many_hosts_leave_no_partition_unowned(world: World, count: int) -> None:
    hosts = [await world.started(f"w{number}") for number in range(count)]
    await world.pass_time(120, *hosts)
    assert sorted(len(host.owned) for host in hosts) == {3: [1, 1, 2], 4: [1] * 4, 5: [0, 1, 1, 1, 1]}[count]
    before = [len(host.told) for host in hosts]
    await world.pass_time(60, *hosts)
    assert [len(host.told) for host in hosts] == before


async def test_no_partition_moves_that_need_not_move(world: World) -> None:
    world.hub = HubSettings("ShopHub", partition_count=8)
    hosts: list[Host] = []
    for worker in ("w1", "w2", "w3"):
        hosts.append(await world.started(worker))
        await world.pass_time(100, *hosts)
    assert sorted(len(host.owned) for host in hosts) == [2, 3, 3]
    epochs = [(await world.text(f"intent/shophub-control-{index:02d}"))["Epoch"] for index in range(8)]
    assert sum(epochs) == 8 + 4 + 2


async def test_a_partition_is_owned_as_soon_as_it_is_intended(world: World) -> None:
    first, second = await world.started("w1"), await world.started("w2")
    await first.partitions.drain_and_release()
    for seconds in (7, 3):  # the pass for ownership was not long ago when that for intents is due
        world.clock.advance(timedelta(seconds=seconds))
        await second.step()
    assert second.owned == ALL


async def test_ownership_is_not_touched_by_a_host_that_is_not_meant_to_have_it(world: World) -> None:
    await world.account.blobs.put("shophub-leases", "intent/shophub-control-01", b"{}")
    await world.account.blobs.acquire_lease("shophub-leases", "intent/shophub-control-01", -1)
    host = await world.started("w1")
    assert host.owned == ALL - {1} == host.partitions.held
    assert await world.account.blobs.properties("shophub-leases", "ownership/shophub-control-01") is None


async def test_when_a_host_dies_the_other_takes_over_after_its_leases_have_ended(world: World) -> None:
    first, second = await two_hosts(world)
    mine = second.owned
    await world.pass_time(19, second)
    assert second.owned == mine  # the dead host's intent leases still run
    assert await world.seconds_until(lambda: second.owned == ALL, second) <= 30 + 10 - 19


async def test_shorter_leases_are_taken_over_sooner_but_not_before_the_service_s_15_seconds(world: World) -> None:
    first, second = await two_hosts(world, LeaseOptions().scaled(6))
    seconds = await world.seconds_until(lambda: second.owned == ALL, second)
    assert 13 <= seconds <= 18


async def test_the_dead_host_has_stopped_before_the_other_begins(world: World) -> None:
    first, second = await two_hosts(world)
    first.line.cut = True
    await world.pass_time(100, first, second)  # which proves it every second
    assert first.owned == NONE and second.owned == ALL


async def test_a_stolen_partition_is_drained_before_another_host_owns_it(world: World) -> None:
    first, second = await world.started("w1"), await world.started("w2")
    for index in ALL:
        first.partitions.set_busy(index, True)
    await world.pass_time(60, first, second)
    stolen = ALL - first.owned
    assert len(stolen) == 2 and first.partitions.held == ALL and second.owned == NONE
    for index in stolen:
        first.partitions.set_busy(index, False)
    await world.pass_time(6, first, second)
    assert second.owned == stolen and first.partitions.held == first.owned == ALL - stolen


async def test_a_partition_that_is_released_is_free_for_anyone(world: World) -> None:
    first, second = await two_hosts(world)
    await first.partitions.drain_and_release()
    assert first.owned == NONE
    await world.pass_time(10, second)
    assert second.owned == ALL


async def test_an_answer_that_got_lost_does_not_lock_the_host_out(world: World) -> None:
    host = world.host("w1", options=NO_APP_LEASE)
    put = world.account.blobs.put

    async def refuse(*arguments: Any, **options: Any) -> str:
        raise AccountUnreachable("Lost after the lease was given.")

    host.line.put = refuse  # type: ignore[attr-defined]
    await world.account.blobs.put("shophub-leases", "intent/shophub-control-00", b"{}")
    await host.step()
    assert await world.leased("intent") == [0] and host.owned == NONE
    host.line.put = put  # type: ignore[attr-defined]
    await world.pass_time(1, host)
    assert host.owned == ALL


# stopping


async def test_stopping_waits_until_the_work_in_hand_is_finished(world: World) -> None:
    host = await world.started("w1")
    host.partitions.set_busy(2, True)
    stopping = asyncio.create_task(host.partitions.drain_and_release())
    for _ in range(100):
        await asyncio.sleep(0)
    assert host.owned == NONE and host.partitions.held == {2} and not stopping.done()
    assert await world.leased("intent") == [] and await world.leased("ownership") == [2]
    host.partitions.set_busy(2, False)
    await stopping
    assert await world.leased("ownership") == [] and host.told == [ALL, NONE]
    assert (await world.text("ownership/shophub-control-02")) == {
        "PartitionId": "shophub-control-02", "Owner": None, "Token": None, "Epoch": 1,
    }  # fmt: skip


@pytest.mark.parametrize("line", ["cut", "dead"])
async def test_stopping_ends_though_the_account_does_not_answer(world: World, line: str) -> None:
    host = await world.started("w1", options=LeaseOptions(renew_seconds=0.02))
    setattr(host.line, line, True)
    world.clock.advance(timedelta(seconds=1))  # renewals are due
    await asyncio.wait_for(host.partitions.drain_and_release(), 5)
    assert host.owned == NONE


async def test_a_host_that_stopped_takes_nothing_any_more(world: World) -> None:
    host = await world.started("w1")
    await host.partitions.drain_and_release()
    await world.pass_time(60, host)
    assert host.owned == NONE and await world.leased("intent") == []


async def test_stopping_leaves_the_app_lease_to_the_app_s_other_hosts(world: World) -> None:
    first, second = await two_hosts(world)
    await first.partitions.drain_and_release()
    await world.pass_time(200, second)
    assert second.owned == ALL and second.partitions.has_app_lease


# the loop


async def test_the_loop_owns_what_is_free_and_ends_when_it_is_cancelled(world: World) -> None:
    host = world.host("w1")
    loop = asyncio.create_task(host.partitions.run())
    await asyncio.wait_for(host.changed.wait(), 5)
    assert host.owned == ALL
    loop.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loop


async def test_an_account_that_never_answers_does_not_keep_the_loop_from_telling_the_loss(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    host = await world.started("w1", options=LeaseOptions(use_app_lease=False, renew_seconds=0.02))
    host.changed.clear()
    host.line.dead = True
    world.clock.advance(timedelta(seconds=20))
    loop = asyncio.create_task(host.partitions.run())
    await asyncio.wait_for(host.changed.wait(), 5)
    loop.cancel()
    assert host.told == [ALL, NONE]
    assert "did not answer within 0.02 s" in caplog.text


# the app lease


async def test_only_one_of_two_apps_works_on_the_partitions(world: World) -> None:
    west, north = await world.started("w", "shop-west"), await world.started("n", "shop-north")
    await world.pass_time(600, west, north)
    assert west.owned == ALL and north.owned == NONE and not north.partitions.has_app_lease


async def test_the_app_lease_is_the_platform_s(world: World) -> None:
    await world.started("w", "shop-west")
    assert await world.account.blobs.leased("shophub-applease", None)
    content = await world.account.blobs.get("shophub-applease", INFO)
    assert content.decode() == f'{{"OwnerId":"{app_lease_id("shop-west")}","DesiredSwapId":null}}'


async def test_a_waiting_app_takes_over_with_its_next_try_after_the_lease_has_ended(world: World) -> None:
    await world.started("w", "shop-west")
    north = await world.started("n", "shop-north")
    assert await world.seconds_until(lambda: north.owned == ALL, north) == 300


async def test_an_app_started_after_the_lease_has_ended_takes_over_at_once(world: World) -> None:
    await world.started("w", "shop-west")
    world.clock.advance(timedelta(seconds=61))
    assert (await world.started("n", "shop-north")).owned == ALL


async def test_a_missing_app_lease_is_said_once(world: World, caplog: pytest.LogCaptureFixture) -> None:
    await world.started("w", "shop-west")
    north = await world.started("n", "shop-north")
    await world.pass_time(700, north)
    assert caplog.messages == [
        "Another app has the app lease of hub ShopHub, so app 'shop-north' runs no orchestrations; next try in 300 s. "
        "Activities still run here.",
        "App 'shop-north' has the app lease of hub ShopHub.",
    ]


async def test_hosts_of_one_app_name_do_not_exclude_each_other(world: World) -> None:
    first, second = await two_hosts(world)
    assert first.partitions.has_app_lease and second.partitions.has_app_lease and first.owned and second.owned


async def test_without_the_app_lease_apps_share_the_partitions(world: World) -> None:
    west = await world.started("w", "shop-west", NO_APP_LEASE)
    north = await world.started("n", "shop-north", NO_APP_LEASE)
    await world.pass_time(40, west, north)
    assert len(west.owned) == len(north.owned) == 2
    assert not await world.account.blobs.leased("shophub-applease", None)


async def test_make_primary_hands_a_running_app_s_partitions_over(world: World) -> None:
    west, north = await world.started("w", "shop-west"), await world.started("n", "shop-north")
    await north.partitions.make_primary()
    await world.pass_time(60, west, north)
    assert north.owned == ALL and west.owned == NONE
    assert await world.text(INFO, "shophub-applease") == {"OwnerId": app_lease_id("shop-north"), "DesiredSwapId": None}


async def test_an_app_that_lost_its_lease_finishes_what_it_has_in_hand(world: World) -> None:
    west, north = await world.started("w", "shop-west"), await world.started("n", "shop-north")
    west.partitions.set_busy(1, True)
    await north.partitions.make_primary()
    await world.pass_time(60, west, north)
    assert west.partitions.held == {1} and north.owned == ALL - {1}


async def test_make_primary_changes_nothing_for_the_app_that_has_the_lease(world: World) -> None:
    west = await world.started("w", "shop-west")
    await west.partitions.make_primary()
    assert (await world.text(INFO, "shophub-applease"))["DesiredSwapId"] is None


async def test_a_wish_to_be_primary_is_fulfilled_when_the_app_s_other_host_is_it(world: World) -> None:
    await world.started("w1")
    second = world.host("w2")
    await second.partitions.make_primary()
    await second.step()
    assert second.partitions.has_app_lease
    assert (await world.text(INFO, "shophub-applease"))["DesiredSwapId"] is None


async def test_make_primary_without_an_app_lease_is_refused(world: World) -> None:
    host = await world.started("w", options=NO_APP_LEASE)
    with pytest.raises(InvalidOperation, match="useAppLease is false in host.json"):
        await host.partitions.make_primary()


async def test_make_primary_after_the_old_lease_has_ended_never_succeeds_not_even_after_a_restart(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    await world.started("w", "shop-west")
    north = await world.started("n", "shop-north")
    world.clock.advance(timedelta(seconds=100))
    await north.partitions.make_primary()
    await world.pass_time(400, north)
    assert north.owned == NONE
    assert (await world.started("n", "shop-north")).owned == NONE
    assert "write {} into blob shophub-applease/shophub-appleaseinfo and restart this host" in caplog.text


async def test_an_emptied_info_blob_and_a_restart_undo_a_make_primary_that_cannot_succeed(world: World) -> None:
    await world.started("w", "shop-west")
    north = await world.started("n", "shop-north")
    world.clock.advance(timedelta(seconds=100))
    await north.partitions.make_primary()
    await north.step()
    await world.account.blobs.put("shophub-applease", INFO, b"{}")
    assert (await world.started("n", "shop-north")).owned == ALL


async def test_a_swap_without_a_known_owner_is_refused_like_any_other(world: World) -> None:
    wish = {"DesiredSwapId": app_lease_id("shop")}
    await world.account.blobs.put("shophub-applease", INFO, json.dumps(wish).encode())
    assert (await world.started("w")).owned == NONE


async def test_an_old_region_that_comes_back_renews_its_lease_before_the_waiting_app_tries_again(world: World) -> None:
    west, north = await world.started("w", "shop-west"), await world.started("n", "shop-north")
    await world.pass_time(200, north)  # west is asleep, its lease over since 140 s
    await world.pass_time(150, west, north)
    assert west.owned == ALL and north.owned == NONE


async def test_through_an_outage_an_app_takes_its_lease_for_kept_but_not_its_partitions(world: World) -> None:
    west = await world.started("w", "shop-west")
    west.line.cut = True
    await world.pass_time(200, west)
    assert west.partitions.has_app_lease and west.owned == NONE


async def test_an_app_lease_that_cannot_be_renewed_does_not_disturb_the_partitions(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    west = await world.started("w", "shop-west")
    renew = world.account.blobs.renew_lease

    async def only_blobs(container: str, name: str | None, lease_id: str) -> None:
        if name is None:
            raise AccountUnreachable("503.")
        await renew(container, name, lease_id)

    west.line.renew_lease = only_blobs  # type: ignore[attr-defined]
    await world.pass_time(30, west)
    assert west.told == [ALL]
    assert caplog.messages == ["The app lease could not be renewed and is taken for renewed, as on the platform. 503."]


async def test_an_app_whose_lease_was_taken_meanwhile_stops(world: World) -> None:
    west = await world.started("w", "shop-west")
    world.clock.advance(timedelta(seconds=61))
    north = await world.started("n", "shop-north")
    await west.step()
    assert north.partitions.has_app_lease and not west.partitions.has_app_lease and west.owned == NONE


# options


def test_scaled_options_keep_their_proportions() -> None:
    assert LeaseOptions().scaled(15) == LeaseOptions(lease_seconds=15, renew_seconds=5, acquire_seconds=5)
