"""What is measured of a host: one function a part, each on a host that is already warm."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bench.results import CHAINS, CPU, WORK
from bench.running import Measured, new_prefix, together

CLIENTS = 16  # requests that the client has open at once
SETTLE_SECONDS = 1.0  # until memory is looked at


@dataclass(frozen=True)
class Size:
    """How much work a measurement is given."""

    chains: int = 400
    sequential: int = 500
    fans: tuple[int, ...] = (1_000, 10_000)
    events: int = 1_000
    latencies: int = 200
    starts: int = 1_000
    waiting: int = 1_000
    work: int = 400


QUICK = Size(80, 100, (200, 1_000), 200, 40, 200, 200, 100)
AZURITE = Size(100, 100, (1_000,), 300, 50, 200, 200, 200)
AZURITE_QUICK = Size(20, 20, (100,), 50, 10, 30, 50, 40)

Figures = dict[str, float]


async def chain(host: Measured, size: Size) -> Figures:
    """Many five-city chains at once, from the first request to the end of the last; and the CPU they take."""
    prefix, begin, before = new_prefix("chain"), time.perf_counter(), _cpu(host)
    await together(CLIENTS, lambda n: host.start("hello_cities", f"{prefix}-{n:05}"), size.chains)
    await host.all_ended(prefix, f"{prefix}-{size.chains - 1:05}")
    seconds = time.perf_counter() - begin
    taken = [(after - at_first) / size.chains * 1000 for at_first, after in zip(before, _cpu(host), strict=True)]
    return {CHAINS: size.chains / seconds, **(dict(zip(CPU, taken, strict=True)) if taken[0] else {})}


def _cpu(host: Measured) -> tuple[float, float, float]:
    """Seconds of CPU of the host, its workers, and this client."""
    return *host.cpu(), time.process_time()


async def work(host: Measured, size: Size) -> Figures:
    """CPU-bound activities all at once: with one worker process, Python's one core is the ceiling."""
    return {WORK: size.work / await _alone(host, "fan_out_work", size.work)}


async def sequential(host: Measured, size: Size) -> Figures:
    """One instance, one activity after the other."""
    return {"sequential activities/s": size.sequential / await _alone(host, "sequence", size.sequential)}


async def fan(host: Measured, size: Size) -> Figures:
    """One instance, all activities at once."""
    figures = {}
    for count in size.fans:
        seconds = await _alone(host, "fan_out", count)
        figures[f"fan-out of {count:,}, activities/s"] = count / seconds
        figures[f"fan-out of {count:,}, seconds"] = seconds
        figures[f"fan-out of {count:,}, ms per activity"] = seconds / count * 1000
    return figures


async def _alone(host: Measured, name: str, data: int) -> float:
    instance_id, begin = new_prefix(name), time.perf_counter()
    await host.start(name, instance_id, data)
    await host.ended(instance_id)
    return time.perf_counter() - begin


async def events(host: Measured, size: Size) -> Figures:
    """External events to one instance, from the first request to the instance's end."""
    instance_id = new_prefix("events")
    await host.start("gather_events", instance_id, size.events)
    while await host.state(instance_id) == "Pending":
        await asyncio.sleep(0.01)
    begin = time.perf_counter()
    await together(CLIENTS, lambda n: host.raise_event(instance_id, n), size.events)
    await host.ended(instance_id)
    return {"external events/s": size.events / (time.perf_counter() - begin)}


async def latency(host: Measured, size: Size) -> Figures:
    """One instance with one activity after the other, from the start request to the status that says Completed."""
    seconds = []
    for _ in range(size.latencies):
        instance_id, begin = new_prefix("latency"), time.perf_counter()
        await host.start("one_activity", instance_id)
        await host.ended(instance_id, 0.001)
        seconds.append(time.perf_counter() - begin)
    return spread("latency over HTTP", seconds)


def spread(name: str, seconds: list[float]) -> Figures:
    """Median and 99th percentile, in milliseconds."""
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return {f"{name}, median ms": cuts[49] * 1000, f"{name}, 99th ms": cuts[98] * 1000}


async def starts(host: Measured, size: Size) -> Figures:
    """Start requests, while what they started begins to wait for an event."""
    hook, function = new_prefix("hook"), new_prefix("function")
    seconds: list[float] = []

    async def start(number: int) -> None:
        at = time.perf_counter()
        await host.start("wait", f"{hook}-{number}")
        seconds.append(time.perf_counter() - at)

    begin = time.perf_counter()
    await together(CLIENTS, start, size.starts)
    between = time.perf_counter()
    await together(CLIENTS, lambda n: host.start_by_function("wait", f"{function}-{n}"), size.starts)
    end = time.perf_counter()
    return {
        "starts/s at the webhook": size.starts / (between - begin),
        "starts/s by an HTTP function": size.starts / (end - between),
        **spread(f"start request, {CLIENTS} at once", seconds),
    }


async def memory(host: Measured, size: Size) -> Figures:
    """What waiting instances add to the memory of the host and its workers."""
    prefix, before = new_prefix("waiting"), host.memory()
    await together(CLIENTS, lambda n: host.start("wait", f"{prefix}-{n}"), size.waiting)
    for number in range(size.waiting):
        while await host.state(f"{prefix}-{number}") == "Pending":
            await asyncio.sleep(0.01)
    await asyncio.sleep(SETTLE_SECONDS)
    grown = (host.memory() - before) * 1000 / size.waiting
    return {"MB per 1,000 waiting": grown, "MB of host and workers": host.memory()}


Part = Callable[[Measured, Size], Awaitable[Figures]]
# `chain` comes first, on an empty hub; `memory` before what leaves waiting instances behind.
PARTS: dict[str, Part] = {
    "chain": chain,
    "work": work,
    "sequential": sequential,
    "fan": fan,
    "events": events,
    "latency": latency,
    "memory": memory,
    "starts": starts,
}
