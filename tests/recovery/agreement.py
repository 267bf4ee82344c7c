"""How far the doctor's verdicts agree with the recorded outcomes: the numbers and the table of the documentation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from recovery import rules
from recovery.facts import Facts
from recovery.findings import worst
from tests.recovery import cuts

Replayed = Callable[[Facts], object]

# Cuts whose recorded word is about something else than the instance that waits. The record's own second look shows that
# one running with nothing queued for it, 65 seconds after the first: stuck, as the verdict says.
SEEN_STUCK = {
    ("wrongx", "response whose execution id is not the sentinel's"): "the word is about the foreign response",
    ("s5dup", "entity did the work; its request is still queued (delete not replicated)"): (
        "the word is about the entity, which executes once"
    ),
    ("s5norow", "entity History there, row lost; request queued"): "the word is about the entity",
}
# A cut that looks like rightful waiting, and the event that the journal knows of.
WITH_THE_JOURNAL = {("lostevent", "waiting for an event that was sent and lost"): "Approval"}


def is_seen_stuck(cut: cuts.Cut) -> bool:
    """Whether the recorded second look shows an instance that runs and has nothing queued."""
    records = (x for x in cuts.records() if x["id"] == cut.name)
    looks = [x["withoutRepair"]["second"] for x in records if x.get("withoutRepair")]
    return bool(looks) and all(x["runtimeStatus"] == "Running" and not x["messagesLeft"] for x in looks)


@dataclass(frozen=True)
class Line:
    """One recorded cut beside its verdict."""

    cut: cuts.Cut
    verdicts: tuple[rules.Verdict, ...]

    @property
    def outcome(self) -> str:
        return worst([verdict.outcome for verdict in self.verdicts])

    @property
    def explanation(self) -> str:
        """How the verdict agrees with the record all the same; empty when it does not."""
        key = self.cut.name, self.cut.title
        if key in SEEN_STUCK and self.outcome == "stuck" and is_seen_stuck(self.cut):
            return f"agrees with what was seen (running, nothing queued, twice): {SEEN_STUCK[key]}"
        event = WITH_THE_JOURNAL.get(key)
        if event is not None and [x.outcome for x in journalled(self.cut, event)] == [self.cut.outcome]:
            return "agrees with the journal's entry for the event; without one it looks like rightful waiting"
        return ""

    @property
    def agrees(self) -> bool:
        return self.outcome == self.cut.outcome


def journalled(cut: cuts.Cut, event: str) -> list[rules.Verdict]:
    """The verdicts when the journal knows an event that the hub does not."""
    return [rules.judge(replace(facts, journal_events=(event,))) for facts in cuts.facts(cut).values()]


def with_code(facts: dict[str, Facts], replay: Replayed | None) -> dict[str, Facts]:
    """The instances of a cut with what their code awaits."""
    if replay is None:
        return facts
    known = {
        name: replace(one, replayed=replay(one)) if one.is_open and not one.is_entity else one
        for name, one in facts.items()
    }
    return {name: replace(one, related={k: v for k, v in known.items() if k != name}) for name, one in known.items()}


def lines(replay: Replayed | None = None) -> list[Line]:
    """All 74 cuts with their verdicts."""
    return [
        Line(cut, tuple(rules.judge(one) for one in with_code(cuts.facts(cut), replay).values())) for cut in cuts.cuts()
    ]


def foretold(state: cuts.PrefixState, replay: Replayed | None = None) -> str:
    """What the verdict says of the history's end, in the words of the 879 recorded states."""
    found = with_code(cuts.facts(state.cut), replay)
    if not found:
        return "none"
    (facts,) = found.values()
    verdict = rules.judge(facts)
    if facts.end_event is not None:
        return "completed"
    if facts.is_open:
        if verdict.rule == "result-in-row":  # fine: the engine would come to the same end
            return "completed" if verdict.outcome == "fine" else "open"
        return "completed" if verdict.kind in ("goes-on", "repeats", "waiting", "lost") else "open"
    return "completed" if verdict.rule in ("start-queued", "start-repeats") else "none"


def foretold_runs(state: cuts.PrefixState) -> int:
    """How often the activity runs in the new region: for each queued work item, and when its episode is redone."""
    facts = next(iter(cuts.facts(state.cut).values()), None)
    if facts is None:
        return 0
    return len(facts.work_items) + (facts.accepted_start is not None and not facts.has_history)


def table() -> str:
    """The agreement as the documentation shows it."""
    rows = ["| Cut | State | Engine | Verdict (rule) | |", "| --- | --- | --- | --- | --- |"]
    for line in lines():
        verdicts = "; ".join(f"{x.kind} ({x.rule})" for x in line.verdicts)
        note = "agrees" if line.agrees else line.explanation or "differs"
        rows.append(f"| `{line.cut.name}` | {line.cut.title} | {line.cut.outcome} | {verdicts} | {note} |")
    return "\n".join(rows)


def counts(replay: Replayed | None = None) -> Counter[bool]:
    """How many of the 879 states end as foretold."""
    return Counter(foretold(state, replay) == state.history for state in cuts.prefix_states())
