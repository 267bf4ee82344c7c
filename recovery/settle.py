"""Make exactly one app run: the one in the account's primary region. For the states split, dark and crossed."""

from __future__ import annotations

from recovery import operator_errors as errors
from recovery.operator_state import Begun
from recovery.session import Session
from recovery.steps import Steps


def run(session: Session, yes: bool = False) -> int:
    """Shows or does it; returns the exit code.

    Raises Refused while the account's region is not known or a failover is going on.
    """
    seen = session.azure.observe()
    region, begun = seen.account_region, session.state.begun
    if begun is not None and begun.command != "settle":
        raise errors.Refused(f"The {begun.command} has not ended. Finish it first: see python -m recovery status")
    if seen.account is None or region is None or seen.account.failover_in_progress:
        raise errors.Refused(
            "The account is not readable or is being failed over, so nobody can say which app should run. "
            "Wait: python -m recovery status --watch"
        )
    other = seen.other(region)
    session.say(f"POST sites/{other.site}/stop (if it runs), then POST sites/{region.site}/start (if it does not)")
    if not yes:
        session.say("Nothing was changed. To do it: python -m recovery settle --yes")
        return 0
    session.state.begun = Begun("settle", region.role, True, session.clock.now().isoformat())
    session.state.save()
    steps = Steps(session.azure, session.environment, session.state, session.say)
    steps.timed("stop", lambda: steps.stop(other))
    steps.timed("give rights back", lambda: steps.unfence(region))
    steps.timed("start", lambda: steps.start(region))
    steps.remember(region)
    session.state.end()
    found = session.verdict()
    session.say(f"{found.name}: {found.meaning}")
    return 0
