"""What the doctor's rules foretell of an instance when nobody repairs it: the verdict of `recovery.rules` as a fate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lab.drills.ground_truth import Fate, Truth
from recovery.examination import Examination, Line

# Verdict and outcome -> what must become of the instance, and what may become of it instead.
FATES: Mapping[tuple[str, str], tuple[Fate, ...]] = {
    ("completed", "*"): ("completed before",),
    ("waiting", "stuck"): ("stuck",),  # for a child that never reports
    ("waiting", "unreachable"): ("stuck",),  # nobody can ask for it or raise its event
    ("waiting", "*"): ("completed",),
    ("goes-on", "*"): ("completed",),
    ("repeats", "wrong-result"): ("completed", "wrong"),
    ("repeats", "*"): ("completed",),
    ("stuck", "*"): ("stuck",),
    ("damaged", "wrong-result"): ("wrong", "stuck"),
    ("damaged", "error-loop"): ("stuck",),
    ("damaged", "*"): ("completed", "wrong", "stuck"),
    ("lost", "*"): ("lost",),
    ("orphan", "*"): ("lost",),
    ("undecided", "*"): ("completed", "wrong", "stuck", "lost"),
}
WORDS = 160  # of the doctor's reason
PARTLY: tuple[Fate, ...] = ("completed", "stuck")  # it goes on without a part of what it waits for
# What is wrong beside the verdict, and may decide later.
LATER: Mapping[str, tuple[Fate, ...]] = {
    "open-and-lost": ("stuck",),  # lost, and not awaited before something else has happened
    "ahead-of-history": ("wrong", "stuck"),  # a leftover may answer another task of the same number
    "row-missing-entirely": ("stuck",),
    "row-partial": ("stuck",),
    "row-pending": ("stuck",),  # the app's endpoints take no event for what seems not to have begun
    "address-dead": ("stuck",),
}


def by_instance(found: Examination) -> dict[str, Line]:
    """The lines of an examination; what is finished and tidy has none."""
    return {line.instance_id: line for line in found.lines()}


def foretell(
    line: Line | None, relatives: Iterable[Line] = (), is_told: bool = False, has_blobs: bool = False
) -> Truth:
    """The fate of an instance of which something arrived; `relatives` are its children and the entities it calls.

    `is_told`: its client raises events after the failover. A lost timer that raced with them is then no longer needed.
    `has_blobs`: it keeps blobs of its own and clears them up. The doctor does not see them, and what is done again
    after the clearing up fails.
    """
    if line is None:
        return Truth("completed before", "applied")
    known = FATES.get((line.kind, line.outcome)) or FATES[line.kind, "*"]
    known = PARTLY if line.rule == "partly-lost" else known
    fates = list(known)
    if is_told and line.rule == "awaited-lost" and line.because.startswith("timer "):
        fates += ["completed"]
    for name, later in LATER.items():
        if f"{name}:" in line.findings:
            fates += later
    if known[0] in ("completed", "completed before") and any(_spoils(one) for one in relatives):
        fates += ["wrong", "stuck"]
    if has_blobs and known[0] not in ("completed before", "lost"):
        fates += ["wrong"]
    why = "" if fates[0] in ("completed", "completed before") else f"{line.kind} ({line.rule}): {line.because[:WORDS]}"
    others = tuple(dict.fromkeys(fate for fate in fates[1:] if fate != fates[0]))
    return Truth(fates[0], "applied", why, others)


def _spoils(line: Line) -> bool:
    """Whether what is wrong with a child or an entity can change what its caller comes to."""
    return line.kind in ("damaged", "lost", "stuck", "orphan")
