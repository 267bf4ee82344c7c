"""Takes the control queues' messages, has each instance's turn played, and applies what came of it.

The order of storage writes is the platform's: blobs, outgoing messages, the history (which commits), the Instances
row, and at last the deletion of the incoming messages. The next turn waits for the history only. Whether a message is
accepted, put back or dropped follows OrchestrationSessionManager and AzureStorageOrchestrationService of provider
1.17.5.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from lab.acceptance import Acceptance
from lab.deliveries import TROUBLE_SECONDS, Deliveries, Delivery
from lab.entities import Entities
from lab.episodes import Episodes, Kept, Turn
from lab.outgoing import Outgoing
from lab.runtime_state import Execution, row_columns
from lab.settling import Settling
from lab.worker import WorkerGone
from taskhub import messages
from taskhub.accounts import MAX_GET, Entity
from taskhub.clock import Clock
from taskhub.errors import AccountError, AccountUnreachable, Conflict, NotFound, PreconditionFailed, Undecodable
from taskhub.history import History, is_entity_id
from taskhub.hub import TaskHub
from taskhub.messages import TaskMessage

log = logging.getLogger("lab.orchestrations")
CACHED_EVENTS = 400_000


class StaleHistory(Exception):
    """Somebody else wrote this history meanwhile."""


@dataclass(eq=False)
class Session:
    """One instance this host works on: what arrived for it, and what is known of it."""

    instance_id: str
    inbox: list[Delivery] = field(default_factory=list)
    history: History | None = None
    kept: Kept | None = None
    working: bool = False


def _may_be_parted(batch: Sequence[Delivery], error: Exception) -> bool:
    """Whether a failed batch is worth another try, message by message: none of them needs a start beside it."""
    is_their_fault = not isinstance(error, WorkerGone)
    return is_their_fault and len(batch) > 1 and all(item.task.kind != messages.EXECUTION_STARTED for item in batch)


class Orchestrations:
    """All instances of the partitions that this host owns."""

    def __init__(
        self,
        hub: TaskHub,
        deliveries: Deliveries,
        episodes: Episodes,
        entities: Entities,
        clock: Clock,
        visibility: timedelta,
        max_concurrent: int,
        buffer: int = 256,
    ) -> None:
        self.hub = hub
        self.deliveries = deliveries
        self.episodes = episodes
        self.entities = entities
        self.acceptance = Acceptance(hub, deliveries)
        self.outgoing = Outgoing(hub, clock)
        self.clock = clock
        self.visibility = visibility
        self.buffer = buffer
        self._slots = asyncio.Semaphore(max_concurrent)
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self._cached_events = 0
        self._room = asyncio.Event()
        self._reading: set[str] = set()
        self._drained: set[str] = set()  # queues in which nothing is known to wait
        self._visible_puts: Counter[str] = Counter()
        self.settling = Settling(hub, deliveries, self._tasks, self._put_all_back, self._room.set)

    # taking messages

    async def read(self, queue: str, polling: float) -> None:
        """Takes the messages of one control queue until it is cancelled; `polling` seconds at most between looks."""
        self._reading.add(queue)
        try:
            while True:
                while self._is_full():
                    self._room.clear()
                    await self._room.wait()
                await self._read_some(queue, polling)
        finally:
            self._reading.discard(queue)
            self._drained.discard(queue)

    async def _read_some(self, queue: str, polling: float) -> None:
        puts = self._visible_puts[queue]
        try:
            found = await self.deliveries.take(queue, MAX_GET, self.visibility)
        except AccountError as error:
            log.warning("%s cannot be read: %s", queue, error)
            await asyncio.sleep(min(polling, TROUBLE_SECONDS))
            return
        for delivery in found:
            self.deliver(delivery)
        if len(found) < MAX_GET and puts == self._visible_puts[queue]:
            self._drained.add(queue)
        if not found:
            await self.hub.account.queues.arrived([queue], polling)

    # taking what this host itself puts

    def reads(self, queue: str) -> bool:
        """Whether the queue is one of a partition that this host works on."""
        return queue in self._reading

    def reserve(self, queue: str) -> bool:
        """Whether a message for the queue can be worked on at once."""
        return queue in self._drained and not self._is_full()

    def unreserve(self, queue: str) -> None:
        """There is nothing to give back: an inbox has room for all."""

    def put_visibly(self, queue: str) -> None:
        """A message waits in the queue; what follows it waits behind it."""
        self._visible_puts[queue] += 1
        self._drained.discard(queue)

    def hand_in(self, result: TaskMessage, work: Delivery) -> bool:
        """Takes an activity's result without a message, if its instance is at home here; see `Deliveries.unwritten`.

        A large one goes through a blob, as on the platform.
        """
        queue = self.hub.names.control_queue(result.instance_id)
        if not self.reserve(queue) or self.hub.is_large(result):
            return False
        self.deliver(self.deliveries.unwritten(queue, result, work))
        return True

    def _is_full(self) -> bool:
        """Whether enough control messages are in hand. Work items do not count: only their own ends make room."""
        if self.deliveries.count < self.buffer:
            return False
        return self.deliveries.count_in(self.hub.names.control_queues) >= self.buffer

    def deliver(self, delivery: Delivery) -> None:
        """Puts a message into its instance's inbox and sees to it that somebody looks there."""
        instance_id = delivery.task.instance_id
        session = self._sessions.get(instance_id)
        if session is None:
            session = self._sessions[instance_id] = Session(instance_id)
        self._sessions.move_to_end(instance_id)
        session.inbox.append(delivery)
        if not session.working:
            session.working = True
            task = asyncio.create_task(self._serve(session))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def busy_queues(self) -> set[str]:
        """The control queues of which instances are being worked on."""
        working = [session.instance_id for session in self._sessions.values() if session.working]
        return {self.hub.names.control_queue(instance_id) for instance_id in (*working, *self.settling.instances)}

    def forget(self, queues: set[str]) -> None:
        """Drops what is remembered of the instances of control queues that this host no longer owns."""
        for session in list(self._sessions.values()):
            if self.hub.names.control_queue(session.instance_id) in queues:
                self._drop_memory(session)
                if not session.working:
                    del self._sessions[session.instance_id]

    async def finish(self) -> None:
        """Waits until no instance is being worked on."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.settling.rows.flush()

    # serving one instance

    async def _serve(self, session: Session) -> None:
        try:
            while session.inbox:
                async with self._slots:
                    batch, session.inbox = session.inbox, []
                    await self._take_turn(session, batch)
                self._room.set()
        finally:
            session.working = False
            self._trim(session)

    async def _take_turn(self, session: Session, batch: list[Delivery]) -> None:
        try:
            for attempt in (1, 2):
                try:
                    await self._process(session, batch)
                    return
                except StaleHistory:
                    self._drop_memory(session)
                    for item in batch:
                        item.is_new = False
                    if attempt == 2:
                        raise
        except AccountUnreachable as error:
            log.warning("%s: the account does not answer (%s); the work is taken up again later.",
                        session.instance_id, error)  # fmt: skip
            self._drop_memory(session)
            await self._put_all_back(batch, "the account does not answer")
        except StaleHistory:
            log.warning("%s is being worked on elsewhere.", session.instance_id)
            await self._put_all_back(batch, "its history was written by somebody else")
        except Undecodable as error:
            log.error("%s cannot go on: %s", session.instance_id, error)
            self._drop_memory(session)
            await self._put_all_back(batch, str(error))
        except Exception as error:
            # A broken instance must not stop the others: it keeps its messages, and says why each time they return.
            log.exception("An unexpected failure occurred while processing instance %s: %s",
                          session.instance_id, error)  # fmt: skip
            self._drop_memory(session)
            if _may_be_parted(batch, error):
                for item in list(batch):  # one of them may be what is broken
                    await self._take_turn(session, [item])
            else:
                await self._put_all_back(batch, f"{type(error).__name__}: {error}")

    async def _put_all_back(self, batch: Sequence[Delivery], why: str) -> None:
        try:
            await asyncio.gather(*(self.deliveries.put_back(delivery, why) for delivery in batch))
        except AccountError:
            pass  # they come back by themselves when their time is over

    async def _process(self, session: Session, batch: list[Delivery]) -> None:
        remaining = list(batch)
        while remaining:
            history = await self._history(session, remaining)
            group, remaining = self._split(remaining, history)
            if is_entity_id(session.instance_id):
                await self._entity_turn(session, history, group)
            else:
                await self._orchestration_turn(session, history, group)
            del batch[:]
            batch.extend(remaining)
            await self.settling.caught_up(session.instance_id)

    async def _history(self, session: Session, batch: Sequence[Delivery]) -> History:
        if session.history is None and any(item.is_new for item in batch):
            session.history = History(session.instance_id)  # should there be one all the same, the commit is refused
        if session.history is None:
            try:
                session.history = await self.hub.read_history(session.instance_id)
            except (NotFound, Undecodable) as error:
                raise Undecodable(f"its history cannot be read: {error}") from error
            self._cached_events += len(session.history.events)
        return session.history

    @staticmethod
    def _split(batch: list[Delivery], history: History) -> tuple[list[Delivery], list[Delivery]]:
        """The messages of the first execution in the batch (those without one join it), and the rest."""
        execution_id: str | None = None
        group, rest = [], []
        for delivery in batch:
            wanted = delivery.task.execution_id
            if wanted is None or execution_id is None or wanted == execution_id:
                execution_id = execution_id or wanted
                group.append(delivery)
            else:
                rest.append(delivery)
        return group, rest

    async def _orchestration_turn(self, session: Session, history: History, group: list[Delivery]) -> None:
        execution_id = next((item.task.execution_id for item in group if item.task.execution_id), history.execution_id)
        known = history.execution_id == execution_id
        past = list(history.events) if known else []
        accepted = await self.acceptance.select(group, history, past)
        if not accepted or execution_id is None:
            return
        execution = Execution(session.instance_id, execution_id, past)
        execution.new.append(messages.event(messages.ORCHESTRATOR_STARTED, self.clock.now()))
        execution.new.extend(dict(item.task.event) for item in accepted)
        if not execution.has_started:
            await self.acceptance.drop(accepted, "Invalid history (may have been overwritten by a newer instance)")
            return
        turn, kept = await self.episodes.turn(execution, session.kept if known else None)
        columns, old_blobs = await self._commit(session, history, turn, known)
        session.kept = kept
        self.settling.settle(session.instance_id, columns, accepted, old_blobs, at_once=history.is_terminal)

    # applying

    async def _commit(
        self, session: Session, history: History, turn: Turn, known: bool
    ) -> tuple[Entity, Sequence[str]]:
        """Sends what the turn sends and writes the history; returns the row's columns, and the blobs of the past."""
        execution = turn.execution
        sources = {source.execution_id: source for source, _ in turn.scheduled}
        episodes = {execution_id: source.episode for execution_id, source in sources.items()}
        await asyncio.gather(
            *(self.outgoing.send(source, action, episodes[source.execution_id]) for source, action in turn.scheduled),
            self.outgoing.tell_parent(turn),
        )
        addresses, old_blobs = await self._write_history(history, execution, not known or turn.generations > 0)
        return row_columns(execution, turn.custom_status, addresses), old_blobs

    async def _write_history(
        self, history: History, execution: Execution, begins_anew: bool
    ) -> tuple[dict[str, str], Sequence[str]]:
        """Writes new events; returns the addresses of their large texts for the row, and the blobs of the past."""
        start = 0 if begins_anew else len(execution.past)
        before = len(history.events)
        old_blobs = list(history.blobs) if begins_anew else []
        try:
            blobs = await self.hub.append_history(history, execution.new, execution.execution_id, start)
        except (Conflict, PreconditionFailed, NotFound) as error:
            raise StaleHistory(str(error)) from error
        del history.blobs[: len(old_blobs)]
        self._cached_events += len(history.events) - before
        return {name: self.hub.large.url(blob) for name, blob in blobs.items()}, old_blobs

    # entities

    async def _entity_turn(self, session: Session, history: History, group: list[Delivery]) -> None:
        turn = await self.entities.turn(session.instance_id, history, [item.task for item in group])
        if turn is not None:
            await asyncio.gather(*(self.hub.send(message) for message in turn.outgoing))
            addresses, old_blobs = await self._write_history(history, turn.execution, begins_anew=True)
            columns = row_columns(turn.execution, turn.status, addresses)
            self.settling.settle(session.instance_id, columns, group, old_blobs, at_once=True)
        else:
            await asyncio.gather(*(self.deliveries.done(item) for item in group))

    # memory

    def _drop_memory(self, session: Session) -> None:
        self.settling.forget(session.instance_id)
        if session.history is not None:
            self._cached_events -= len(session.history.events)
            session.history = None
        if session.kept is not None:
            session.kept = None
            self.episodes.worker.forget(session.instance_id)

    def _trim(self, session: Session) -> None:
        """Forgets finished instances, and the longest unused ones when too much is remembered."""
        if session.history is not None and (session.history.is_terminal or not session.history.events):
            self._drop_memory(session)
            if not session.working:
                self._sessions.pop(session.instance_id, None)
        if self._cached_events <= CACHED_EVENTS:
            return
        for other in list(self._sessions.values()):
            if not other.working:
                self._drop_memory(other)
                del self._sessions[other.instance_id]
            if self._cached_events <= CACHED_EVENTS // 2:
                return
