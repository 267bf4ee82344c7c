"""The SDK's own replay executor alone in one process: what no host that runs unchanged functions can exceed per core.

    python -m bench.replay SECONDS      prints five-city orchestrations per second, six episodes each,
                                        and CPU-bound activities per second

The functions get the JSON that the extension sends in each of the six episodes and answer with theirs; nothing else
happens, no storage, no host, no activity. The CPU-bound activity is called as the plain function it is.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from azure.functions._durable_functions import OrchestrationContext

from lab.worker.inside.episodes import trigger_of

APP = Path(__file__).resolve().parent / "app"
CITIES = ("Tokyo", "Seattle", "Cairo", "London", "Mumbai")
START = datetime(2026, 1, 5, 9, 0, tzinfo=timezone.utc)
Event = dict[str, Any]


def episodes() -> list[str]:
    """The trigger's JSON in each episode of the five-city chain."""
    opening: dict[str, Any] = {
        "OrchestrationInstance": {"InstanceId": "one", "ExecutionId": "4f6e0c7b9a7d4d3f8f5e1a2b3c4d5e6f"},
        "EventType": 0, "ParentInstance": None, "Name": "hello_cities", "Version": "", "Input": None, "Tags": None,
        "Correlation": None, "ParentTraceContext": None, "ScheduledStartTime": None, "Generation": 0,
    }  # fmt: skip
    events = [_event(0, EventType=12), _event(0, **opening)]
    texts = [_text(events)]
    for number, city in enumerate(CITIES):
        scheduled = _event(number, number, EventType=4, Name="hello", Version="", Input=None)
        for event in events:
            event["IsPlayed"] = True
        events += [scheduled, _event(number, EventType=13), _event(number + 1, EventType=12)]
        events.append(_event(number + 1, EventType=5, TaskScheduledId=number, Result=json.dumps(f"Hello {city}!")))
        texts.append(_text(events))
    return texts


def _event(second: int, number: int = -1, **properties: Any) -> Event:
    moment = (START + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%S.%f0Z")
    return {**properties, "EventId": number, "IsPlayed": False, "Timestamp": moment}


def _text(events: list[Event]) -> str:
    return json.dumps(trigger_of({"events": events, "input": None, "instance_id": "one", "parent_instance_id": None}))


def app_module() -> Any:
    """The measured app."""
    specification = importlib.util.spec_from_file_location("measured_app", APP / "function_app.py")
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def registered(name: str = "hello_cities") -> Callable[..., Any]:
    """A function of the app, as `get_functions` hands it to a worker."""
    found: Callable[..., Any] = next(
        function.get_user_function()
        for function in app_module().app.get_functions()
        if function.get_function_name() == name
    )
    return found


def work(seconds: float) -> float:
    """CPU-bound activities per second, over that many seconds."""
    rounds, activity = app_module().ROUNDS, registered("work")
    count, begin, taken = 0, time.perf_counter(), 0.0
    while taken < seconds:
        activity(rounds)
        count += 1
        taken = time.perf_counter() - begin
    return count / taken


def run(seconds: float) -> float:
    """Orchestrations per second, over that many seconds."""
    handle, texts = registered(), episodes()
    last = json.loads([handle(OrchestrationContext(text)) for text in texts][-1])
    if not last["isDone"] or len(last["output"]) != len(CITIES):
        raise SystemExit(f"The chain did not end: {last}")
    count, begin = 0, time.perf_counter()
    while time.perf_counter() - begin < seconds:
        for text in texts:
            handle(OrchestrationContext(text))
        count += 1
    return count / (time.perf_counter() - begin)


if __name__ == "__main__":
    print(run(float(sys.argv[1])), work(float(sys.argv[1]) / 2))
