"""The timer trigger: runs a function on its schedule, once for all hosts, and catches up with what was missed.

After TimerListener, ScheduleMonitor and StorageScheduleMonitor of azure-webjobs-sdk-extensions: the status blob
`timers/{host id}/{function}/status` holds when the function last ran and when it is next due. A host that starts after
that moment runs it at once with `past_due`; a changed schedule counts from now. A failing function is not run again.
Time is UTC unless WEBSITE_TIME_ZONE (or TZ) names another zone.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from lab.triggers.context import HOSTS_CONTAINER, Listener, TriggerContext, TriggerInvalid, function_id, trigger_of
from lab.triggers.schedule import Schedule, parse_schedule
from lab.triggers.singleton import Singleton
from lab.worker import FunctionInfo, InvocationFailed, WorkerGone
from taskhub.clock import Clock
from taskhub.errors import AccountError, NotFound

log = logging.getLogger("lab.triggers")
NEVER = datetime(1, 1, 1, tzinfo=timezone.utc)
LONGEST_SLEEP = 60.0  # seconds; a machine that slept or whose clock was set is noticed after that
RETRY_SECONDS = 5.0
STOP_SECONDS = 4.0  # how long a run may go on when the host stops; less than any lease


@dataclass(frozen=True)
class ScheduleStatus:
    """What the status blob says of a timer."""

    last: datetime
    next: datetime
    updated: datetime

    def to_json(self) -> dict[str, str]:
        """The object as the extension writes it."""
        return {"Last": _text(self.last), "Next": _text(self.next), "LastUpdated": _text(self.updated)}

    @classmethod
    def from_json(cls, found: Any) -> ScheduleStatus | None:
        """What a blob holds, None when it cannot be understood."""
        try:
            return cls(_moment(found["Last"]), _moment(found["Next"]), _moment(found["LastUpdated"]))
        except (KeyError, TypeError, ValueError, AttributeError):
            return None


def listeners(functions: Sequence[FunctionInfo], context: TriggerContext) -> list[Listener]:
    """A listener for each timer. TriggerInvalid: a schedule that cannot be read."""
    return [TimerListener(function, context) for function in functions]


class TimerListener:
    """One function's timer."""

    def __init__(self, function: FunctionInfo, context: TriggerContext) -> None:
        self._function, self._context, self._clock = function, context, context.clock
        trigger = trigger_of(function)
        try:
            self._schedule = parse_schedule(context.resolve(str(trigger.get("schedule") or "")), _zone(context))
        except ValueError as error:
            raise TriggerInvalid(str(error)) from error
        self._run_on_startup = _is_set(trigger, "runOnStartup", False)
        self._monitored = _is_set(trigger, "useMonitor", True) and not self._schedule.is_frequent
        self._blob = f"timers/{context.host_id}/{function_id(function)}/status"
        self._lock = Singleton(context, function_id(function))
        self._running: asyncio.Task[ScheduleStatus] | None = None
        self._has_started = False

    @property
    def name(self) -> str:
        return f"timer of {self._function.name}"

    async def run(self) -> None:
        while True:
            await self._lock.run(self._listen())

    async def finish(self, seconds: float) -> None:
        if self._running is not None and not self._running.done():
            await asyncio.wait([self._running], timeout=seconds)
            self._running.cancel()

    async def _listen(self) -> None:
        """Fires on the schedule, first what was missed; ends only by being cancelled."""
        status = await self._initial()
        is_past_due = status.next < self._clock.now()
        if is_past_due:
            status = await self._fire(status, is_past_due=True)
        elif self._run_on_startup and not self._has_started:
            status = await self._fire(status)
        self._has_started = True
        while True:
            await wait_until(self._clock, status.next)
            status = await self._fire(status)

    async def _initial(self) -> ScheduleStatus:
        """Where the schedule stands when this host begins to listen; kept if it is new or the schedule has changed."""
        now = self._clock.now()
        if not self._monitored:
            return ScheduleStatus(NEVER, self._schedule.next(now), NEVER)
        while True:
            try:
                found = await self._read()
                status = begun(self._schedule, now, found)
                if status != found:
                    await self._write(status)
                return status
            except AccountError as error:
                log.warning("The status of the %s cannot be read: %s", self.name, error)
                await asyncio.sleep(RETRY_SECONDS)

    async def _fire(self, status: ScheduleStatus, is_past_due: bool = False) -> ScheduleStatus:
        """Runs the function and moves the schedule on. The run outlives a lost lease, as on the platform."""
        if not self._lock.held:
            await asyncio.Event().wait()  # until the lock's keeper notices too, and cancels
        moment = self._clock.now()
        running = self._running = asyncio.create_task(self._run_once(status, moment, is_past_due))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            # The lock is held a little longer: the next host would take what has not ended for missed.
            await asyncio.wait([running], timeout=STOP_SECONDS)
            raise

    async def _run_once(self, status: ScheduleStatus, moment: datetime, is_past_due: bool) -> ScheduleStatus:
        await self._invoke(status, is_past_due)
        status = ScheduleStatus(moment, self._schedule.next(moment), moment)
        if self._monitored:
            await self._write(status)
        return status

    async def _invoke(self, status: ScheduleStatus, is_past_due: bool) -> None:
        info = {
            "Schedule": {"AdjustForDST": True},
            "ScheduleStatus": status.to_json() if self._monitored else None,
            "IsPastDue": is_past_due,
        }
        data = {"type": "json", "value": json.dumps(info), "metadata": {}}
        try:
            await self._context.worker.trigger(self._function.name, data, self._context.client_of(self._function))
        except InvocationFailed:
            pass  # it has been printed; the schedule goes on
        except WorkerGone:
            log.warning("The worker ended while the %s ran; it runs again at its next time.", self.name)

    async def _read(self) -> ScheduleStatus | None:
        try:
            text = await self._context.account.blobs.get(HOSTS_CONTAINER, self._blob)
            return ScheduleStatus.from_json(json.loads(text))
        except (NotFound, ValueError):
            return None

    async def _write(self, status: ScheduleStatus) -> None:
        blobs, text = self._context.account.blobs, json.dumps(status.to_json(), separators=(",", ":"))
        try:
            with suppress(NotFound):
                await blobs.put(HOSTS_CONTAINER, self._blob, text.encode())
                return
            await blobs.create(HOSTS_CONTAINER)
            await blobs.put(HOSTS_CONTAINER, self._blob, text.encode())
        except AccountError as error:
            log.error("The status of the %s could not be written: %s", self.name, error)


def begun(schedule: Schedule, now: datetime, found: ScheduleStatus | None) -> ScheduleStatus:
    """Where a schedule stands at the start, given what was recorded: unchanged, begun anew, or the new schedule's."""
    if found is None:
        return ScheduleStatus(NEVER, schedule.next(now), now)
    base = next((moment for moment in (found.last, found.updated) if moment != NEVER), now)
    expected = schedule.next(base)
    if expected == found.next:
        return found
    if now > expected:  # another schedule was deployed: its own missed times do not count
        base, expected = now, schedule.next(now)
    return ScheduleStatus(NEVER, expected, base)


async def wait_until(clock: Clock, moment: datetime) -> None:
    """Returns when the clock shows the moment."""
    while (left := (moment - clock.now()).total_seconds()) > 0:
        await asyncio.sleep(min(left, LONGEST_SLEEP))


def _zone(context: TriggerContext) -> tzinfo:
    # Not the machine's own TZ: what fires at two o'clock here should do so there.
    name = context.setting("WEBSITE_TIME_ZONE") or context.environment.get("TZ")
    if not name:
        return timezone.utc
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise TriggerInvalid(
            f"WEBSITE_TIME_ZONE is {name!r}, which is no time zone known here. Use a name such as Europe/Berlin."
        ) from error


def _is_set(trigger: dict[str, Any], name: str, default: bool) -> bool:
    found = trigger.get(name)
    return default if found is None else str(found).lower() == "true"


def _text(moment: datetime) -> str:
    text = moment.isoformat()
    return text.replace("Z", "+00:00")


def _moment(text: str) -> datetime:
    """A moment as .NET writes it, with up to seven digits of a second."""
    head, dot, rest = text.replace("Z", "+00:00").partition(".")
    if dot:
        digits = rest[: next((place for place, letter in enumerate(rest) if not letter.isdigit()), len(rest))]
        text = f"{head}.{digits[:6]:0<6}{rest[len(digits) :]}"
    else:
        text = head
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return NEVER if moment.year == 1 else moment
