"""Messages that a host had in hand when it was lost: those it had taken, and those it had put hidden, for itself.

A host may hand a message to itself (`lab.handover`). In the queue it is then as hidden as one that was taken, although
nobody has ever dequeued it; only what it says tells it from a timer whose time has not come.
"""

from __future__ import annotations

from datetime import timedelta

from taskhub import messages
from taskhub.accounts.embedded import EmbeddedAccount
from taskhub.accounts.embedded.times import to_micros
from taskhub.errors import Undecodable
from taskhub.messages import TIMER_FIRED

MICROSECOND = timedelta(microseconds=1)


def let_it_end(account: EmbeddedAccount) -> int:
    """Makes such messages visible, as time does; timers and delayed starts keep theirs. Returns how many there were."""
    engine = account.engine
    query = "SELECT seq, text, dequeued FROM messages WHERE visible > inserted"
    found = engine.db.execute(query).fetchall()
    hidden = [seq for seq, text, dequeued in found if dequeued or not _is_early(text)]

    def show() -> None:
        for seq in hidden:
            engine.db.execute("UPDATE messages SET visible = inserted WHERE seq = ?", (seq,))

    engine.run_now(show)
    engine.arrivals.wake_all()
    return len(hidden)


def at_work(account: EmbeddedAccount) -> frozenset[str]:
    """The ids of all messages that are due or in somebody's hand; what waits for its time is not at work."""
    engine = account.engine
    query = "SELECT id, text, dequeued, visible FROM messages"
    now = to_micros(engine.clock.now())
    found = engine.db.execute(query).fetchall()
    return frozenset(id_ for id_, text, dequeued, visible in found if dequeued or visible <= now or not _is_early(text))


def timers_due(account: EmbeddedAccount, within: timedelta) -> int:
    """How many timers ring so soon: something that is tried again after a pause, most of all."""
    engine = account.engine
    now = to_micros(engine.clock.now())
    query = "SELECT text FROM messages WHERE dequeued = 0 AND visible > ? AND visible <= ?"
    found = engine.db.execute(query, (now, now + within // MICROSECOND)).fetchall()
    return sum(_is_early(text) for (text,) in found)


def _is_early(text: str) -> bool:
    """Whether the message is hidden because its time has not come; one that cannot be read is left as it is."""
    try:
        message = messages.parse_envelope(messages.from_text(text))
    except Undecodable:
        return True
    return message.kind == TIMER_FIRED or bool(message.event.get("ScheduledStartTime"))
