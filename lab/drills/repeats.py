"""Which activities ran again: counted from the results that both regions put, and foretold from what survived."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from lab.drills.ground_truth import State
from lab.drills.timeline import message_of
from taskhub.accounts.replication import LoggedWrite
from taskhub.messages import TASK_COMPLETED, TASK_SCHEDULED, TaskMessage

Task = tuple[str, str, int]  # instance, execution, number
Work = tuple[str, str, str]  # instance, activity, input: the same piece of work, whoever schedules it


@dataclass
class Runs:
    """Work items and results, as a log of writes shows them."""

    scheduled: dict[Task, Work] = field(default_factory=dict)
    completed: set[Task] = field(default_factory=set)

    def read(self, writes: Iterable[LoggedWrite], counts: Callable[[LoggedWrite], bool] = lambda write: True) -> Runs:
        """Takes in a log, after those read before; `counts` says which results count."""
        for write in writes:
            message = message_of(write)
            if message is None:
                continue
            if message.kind == TASK_SCHEDULED:
                self.scheduled[task_of(message)] = work_of(message)
            elif message.kind == TASK_COMPLETED and counts(write):
                self.completed.add(task_of(message))
        return self

    def times(self) -> Counter[Work]:
        """How often each piece of work was done."""
        return Counter(self.scheduled[task] for task in self.completed if task in self.scheduled)


def again(before: Runs, after: Iterable[LoggedWrite]) -> int:
    """How many pieces of work that were done before the loss have been done again since, each time counted."""
    known = before.times()
    later = Runs(dict(before.scheduled)).read(after).times()
    return sum(count for work, count in later.items() if known[work])


def foretold(before: Runs, states: Mapping[str, State], goes_on: Callable[[str], bool]) -> int:
    """How many will be done again when nobody repairs anything.

    Done, and its work item is still queued; or its result did not survive and its instance goes on (`goes_on`).
    """
    count = 0
    for task in before.completed & before.scheduled.keys():
        state = states.get(task[0], State())
        queued = [x for x in state.messages.values() if x.kind == TASK_SCHEDULED and task_of(x) == task]
        count += bool(queued) or (goes_on(task[0]) and not _has_result(state, task))
    return count


def _has_result(state: State, task: Task) -> bool:
    if any(x.kind == TASK_COMPLETED and task_of(x) == task for x in state.messages.values()):
        return True
    return any(
        row.get("EventType") == "TaskCompleted" and row.get("TaskScheduledId") == task[2]
        for row in state.history.values()
        if row.get("ExecutionId") == task[1]
    )


def task_of(message: TaskMessage) -> Task:
    """Which task a work item or a result is about."""
    number = message.event["EventId" if message.kind == TASK_SCHEDULED else "TaskScheduledId"]
    return message.instance_id, message.execution_id or "", int(number)


def work_of(message: TaskMessage) -> Work:
    """What a work item asks for."""
    return message.instance_id, str(message.event.get("Name")), str(message.event.get("Input"))
