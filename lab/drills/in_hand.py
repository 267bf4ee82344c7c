"""Messages that the lost host had in hand without having taken them: it put them hidden, for itself.

A host may hand a message to itself (`lab.handover`). In the queue it is then as hidden as one that was taken, although
nobody has ever dequeued it. A failover outlasts that time as it outlasts every visibility timeout.
"""

from __future__ import annotations

from taskhub import messages
from taskhub.accounts.embedded import EmbeddedAccount
from taskhub.errors import Undecodable
from taskhub.messages import TIMER_FIRED


def let_it_end(account: EmbeddedAccount) -> int:
    """Makes such messages visible, as time does; timers and delayed starts keep theirs. Returns how many there were."""
    engine = account.engine
    query = "SELECT seq, text FROM messages WHERE dequeued = 0 AND visible > inserted"
    hidden = [seq for seq, text in engine.db.execute(query).fetchall() if not _is_early(text)]

    def show() -> None:
        for seq in hidden:
            engine.db.execute("UPDATE messages SET visible = inserted WHERE seq = ?", (seq,))

    engine.run_now(show)
    engine.arrivals.wake_all()
    return len(hidden)


def _is_early(text: str) -> bool:
    """Whether the message is hidden because its time has not come; one that cannot be read is left as it is."""
    try:
        message = messages.parse_envelope(messages.from_text(text))
    except Undecodable:
        return True
    return message.kind == TIMER_FIRED or bool(message.event.get("ScheduledStartTime"))
