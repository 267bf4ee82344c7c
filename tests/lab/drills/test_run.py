"""A drill takes its steps in order; only what went wrong leaves logs behind."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from lab.drills import checks
from lab.drills.drill import Check, Drill, Step
from lab.drills.ground_truth import Truth
from lab.drills.outcome import Outcome
from lab.drills.run import run
from lab.drills.scene import DrillFailed, Options, Scene
from lab.drills.workload import event_data
from lab.progress import Screen


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def step(name: str, taken: list[str]) -> Step:
    async def take(scene: Scene) -> None:
        """Does nothing but say so."""
        taken.append(name)

    return take


async def all_well(scene: Scene) -> None:
    """Every instance ends as it must."""
    for one in scene.workload.instance_ids:
        scene.accepted[one, 0] = scene.accepted[one, 1] = None  # type: ignore[assignment]
        scene.truths[one] = scene.expected[one] = Truth("completed", "lost")
        scene.outcomes[one] = Outcome("completed", event_data(one, 2))


async def one_differs(scene: Scene) -> None:
    """One instance is not what it must be."""
    await all_well(scene)
    scene.outcomes[scene.workload.instance_ids[0]] = Outcome("lost", why="gone")


async def fails(scene: Scene) -> None:
    """Something else goes wrong."""
    raise DrillFailed("the machine is on fire")


def drill(*recovery: Step, verdict: tuple[Check, ...] = (checks.every_request_has_its_verdict,)) -> Drill:
    return Drill("test", "What if?", False, (), (), (), recovery, verdict)


async def executed(what: Drill, only_events: bool = True) -> dict[str, Any]:
    screen = Screen(Console(file=io.StringIO()))
    options = Options(instances=3, seed=1, doctor=False, journal=False, only_events=only_events)
    return await run(what, options, screen, lambda findings: None)


async def test_the_steps_are_taken_in_the_order_of_the_runbook() -> None:
    taken: list[str] = []
    parts = [(step(name, taken),) for name in ("work", "gate", "fault")]
    await executed(Drill("test", "?", False, *parts, (step("recovery", taken), all_well), ()))
    assert taken == ["work", "gate", "fault", "recovery"]


async def test_a_drill_without_problems_leaves_nothing_behind(folders: Path) -> None:
    findings = await executed(drill(all_well))
    assert findings["problems"] == []
    assert findings["ground_truth_agrees"] == 3
    assert list(folders.iterdir()) == []


async def test_a_verdict_that_the_ground_truth_denies_is_a_problem_and_keeps_the_logs(folders: Path) -> None:
    findings = await executed(drill(one_differs))
    assert "differ for 1 instances: drill-" in findings["problems"][0]
    assert findings["ground_truth_agrees"] == 2
    assert len(list(folders.iterdir())) == 1


async def test_another_failure_than_the_planned_one_ends_the_drill_and_keeps_the_logs(folders: Path) -> None:
    with pytest.raises(DrillFailed, match="on fire"):
        await executed(drill(fails))
    assert len(list(folders.iterdir())) == 1


@pytest.mark.parametrize(
    ("outcome", "check"),
    [
        (Outcome("completed", {"raised": 3}), checks.results_are_right),
        (Outcome("lost"), checks.nothing_is_lost),
        (Outcome("stuck"), checks.nothing_is_lost),
    ],
)
async def test_a_wrong_result_or_a_loss_where_none_may_be_is_a_problem(outcome: Outcome, check: Check) -> None:
    async def recovery(scene: Scene) -> None:
        """Ends badly for one."""
        await all_well(scene)
        scene.outcomes[scene.workload.instance_ids[0]] = outcome

    assert (await executed(drill(recovery, verdict=(check,))))["problems"]


def errands(scene: Scene) -> list[str]:
    return list(scene.workload.errands)


async def all_well_with_errands(scene: Scene) -> None:
    """Every instance ends as it must, of whichever workflow it is."""
    await all_well(scene)
    for one in errands(scene):
        scene.outcomes[one] = Outcome("completed", {"status": "completed"}, marked_events=9)


@pytest.mark.parametrize(
    ("truth", "found", "agrees"),
    [
        (Truth("stuck", "lost", or_else=("completed",)), Outcome("completed"), True),
        (Truth("completed", "lost"), Outcome("completed before"), True),
        (Truth("stuck", "lost"), Outcome("completed"), False),
        (Truth("completed", "lost"), Outcome("wrong", why="ended Failed"), False),
        (Truth("lost", "lost", or_else=("stuck",)), Outcome("wrong", why="ended Failed"), False),
    ],
)
async def test_what_is_foretold_of_another_workflow_can_be_denied(truth: Truth, found: Outcome, agrees: bool) -> None:
    async def recovery(scene: Scene) -> None:
        """Ends in one way for one."""
        await all_well_with_errands(scene)
        one = errands(scene)[0]
        scene.truths[one] = scene.expected[one] = truth
        scene.outcomes[one] = found

    findings = await executed(drill(recovery), only_events=False)
    assert bool(findings["problems"]) != agrees
    assert findings["ground_truth_agrees"] == (3 if agrees else 2)


async def test_effects_that_happened_twice_or_never_are_a_problem() -> None:
    async def recovery(scene: Scene) -> None:
        """One mail too many."""
        await all_well_with_errands(scene)
        scene.world = {"messages": [{"key": "drill-0001/mail"}] * 2}

    findings = await executed(drill(recovery, verdict=(checks.effects_happened_once,)), only_events=False)
    assert "happened twice: messages drill-0001/mail" in findings["problems"][0]
