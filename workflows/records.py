"""What is on record before the hub gets it: every start, event and signal goes through the fence and the journal.

Both are off until their settings are there (see recovery.journal, recovery.fence and workflows.region).
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from recovery import journal
from recovery.journal import Entry, Journal, JournalDown, JournalMisconfigured, NoJournal
from workflows import region
from workflows.responses import HubUnavailable, Unconfigured

T = TypeVar("T")


async def start(instance_id: str, workflow: str, data: Any) -> Entry | None:
    """Puts a start on record. HubUnavailable: this region is fenced, or the journal is down. Unconfigured."""
    return await _accepted(lambda: _journal().accept_start(instance_id, workflow, data))


async def event(instance_id: str, name: str, data: Any) -> Entry | None:
    """Puts an event on record. HubUnavailable as above."""
    return await _accepted(lambda: _journal().accept_event(instance_id, name, data))


async def signal(entity_id: str, operation: str, data: Any) -> Entry | None:
    """Puts a signal to an entity on record. HubUnavailable as above."""
    return await _accepted(lambda: _journal().accept_signal(entity_id, operation, data))


def status() -> dict[str, Any]:
    """Whether there is a journal, and what it has written, refused and let pass since the process began.

    Unconfigured: its settings cannot be used, and requests are refused.
    """
    return _journal().status()


async def handed_over(entry: Entry | None, request: Awaitable[T]) -> T:
    """Hands the request to the hub; what the hub refuses is taken off the record again."""
    try:
        return await request
    except Exception:
        await _journal().withdraw(entry)
        raise


def _journal() -> Journal | NoJournal:
    try:
        return journal.current()
    except JournalMisconfigured as error:
        raise Unconfigured(str(error)) from error


async def _accepted(accept: Callable[[], Awaitable[Entry | None]]) -> Entry | None:
    permit = await region.permit()
    if not permit.allowed:
        raise HubUnavailable(permit.reason, address=permit.address)
    try:
        return await accept()
    except JournalDown as error:
        raise HubUnavailable(str(error)) from error
