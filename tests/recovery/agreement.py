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

# Cuts whose recorded word and whose verdict differ, each with the reason; the record's own second look is quoted.
EXPLAINED = {
    ("lostevent", "waiting for an event that was sent and lost"): (
        "fine",
        "looks like rightful waiting; with the journal's entry for the event the verdict is stuck, as recorded",
    ),
    ("wrongx", "response whose execution id is not the sentinel's"): (
        "stuck",
        "the word is about the foreign response, which does no harm; the record itself says that the instance stays "
        "stuck because the real response was lost too",
    ),
    ("s5dup", "entity did the work; its request is still queued (delete not replicated)"): (
        "stuck",
        "the word is about the entity, which executes once; the reply is not in the state, so the caller waits",
    ),
    ("s5norow", "entity History there, row lost; request queued"): (
        "stuck",
        "unreachable is the entity, as said; the caller's reply is not in the state either, so the caller waits",
    ),
}


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
        expected, reason = EXPLAINED.get((self.cut.name, self.cut.title), ("", ""))
        return reason if expected == self.outcome else ""

    @property
    def agrees(self) -> bool:
        return self.outcome == self.cut.outcome


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
        note = "agrees" if line.agrees else f"differs: {line.explanation}"
        rows.append(f"| `{line.cut.name}` | {line.cut.title} | {line.cut.outcome} | {verdicts} | {note} |")
    return "\n".join(rows)


def counts(replay: Replayed | None = None) -> Counter[bool]:
    """How many of the 879 states end as foretold."""
    return Counter(foretold(state, replay) == state.history for state in cuts.prefix_states())
