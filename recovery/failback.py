"""Bring the account and the work home to the primary region: a failover in the other direction, planned by default."""

from __future__ import annotations

from recovery.failover import Request, run
from recovery.session import Session


def fail_back(
    session: Session,
    planned: bool = True,
    accept_unknown_loss: bool = False,
    yes: bool = False,
    without_take_over: bool = False,
) -> int:
    """Shows, begins or resumes the failback; returns the exit code.

    Raises Refused when the account has no live copy at home yet: re-protect first.
    """
    request = Request(
        "failback", "primary", planned, accept_unknown_loss=accept_unknown_loss, yes=yes,
        without_take_over=without_take_over,
    )  # fmt: skip
    return run(request, session)
