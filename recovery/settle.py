"""Make exactly one app run: the one in the account's primary region.

For the states split, dark and crossed, and to give up a failover that was begun: wherever the account is, its region
works afterwards.
"""

from __future__ import annotations

from recovery import operator_errors as errors
from recovery.operator_state import Begun
from recovery.session import Session
from recovery.steps import LOST_ANSWER_SECONDS, Steps


def run(session: Session, yes: bool = False, without_take_over: bool = False) -> int:
    """Shows or does it; returns the exit code.

    Raises Refused while the account's region is not known or a failover is going on.
    """
    given_up = session.state.begun
    if yes and given_up is not None and given_up.account_begun:
        # A failover that was asked for a moment ago may not show yet.
        session.clock.sleep(LOST_ANSWER_SECONDS)
    seen = session.azure.observe()
    region = seen.account_region
    if seen.account is None or region is None or seen.account.failover_in_progress:
        raise errors.Refused(
            "The account is not readable or is being failed over, so nobody can say which app should run. "
            "Wait: python -m recovery status --watch"
        )
    other = seen.other(region)
    if given_up is not None and given_up.command in ("failover", "failback"):
        session.say(
            f"giving up the {given_up.command} that began at {given_up.started}; the account stays in {region.location}"
        )
    session.say(f"POST sites/{other.site}/stop (if it runs), then POST sites/{region.site}/start (if it does not)")
    for line in () if without_take_over else session.fence.plan(region):
        session.say(line)
    if not yes:
        session.say("Nothing was changed. To do it: python -m recovery settle --yes")
        return 0
    if not without_take_over:
        session.fence.ensure_reachable(region)
    session.state.begun = Begun("settle", region.role, True, session.clock.now().isoformat(),
                                without_take_over=without_take_over)  # fmt: skip
    session.state.save()
    steps = Steps(session.azure, session.environment, session.state, session.say, session.fence)
    steps.timed("stop", lambda: steps.stop(other))
    steps.timed("take over", lambda: steps.take_over(region))
    steps.timed("give rights back", lambda: steps.unfence(region))
    steps.timed("start", lambda: steps.start(region))
    steps.remember(region)
    session.state.end()
    found = session.verdict()
    session.say(f"{found.name}: {found.meaning}")
    if found.next_command:
        session.say(f"next: {found.next_command}")
    return 0
