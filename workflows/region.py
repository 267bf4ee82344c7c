"""What this region does while another one works: nothing that lasts. Every function of the app passes here.

The fence's record (recovery.fence) says which region works. An app that finds another one there

    when it is loaded      registers the functions of `workflows.elsewhere` alone; without a durable trigger the Durable
                           extension starts no task hub worker, so the hub is not touched
    while it runs          answers starts, events and signals with 503; its timers return; its queue functions and
                           activities hold what they were given; and it asks its host to stop, so that it is loaded anew

Why they hold: a queue function that returns deletes its message, one that raises five times sends it to the poison
queue, and an activity that raises, times out or loses its worker is recorded as failed in the hub that the other region
works on. Only an activity that is running when its host stops is put back (TaskActivityShim and FunctionExecutionHelper
of the Durable extension). So holding alone would keep work from the other region, and stopping alone would cut it off.
"""

import asyncio
import functools
import inspect
import logging
import os
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import azure.durable_functions as df

from recovery import fence
from recovery.fence import NoFence, Permit

log = logging.getLogger(__name__)
STANDS_STILL = "Another region works. What this one was given is held, and the host is asked to stop: %s"
Function = Callable[..., Any]


class Blueprint(df.Blueprint):  # type: ignore[misc]
    """A blueprint whose activities do nothing while another region works."""

    def activity_trigger(self, input_name: str, activity: str | None = None) -> Function:
        """As df.Blueprint's."""
        register: Function = super().activity_trigger(input_name, activity)
        return lambda function: register(held(function))


def held(function: Function) -> Function:
    """The function, async or not, that waits until its region may work before it does anything."""
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def waiting(*args: Any, **kwargs: Any) -> Any:
            await hold()
            return await function(*args, **kwargs)
    else:

        @functools.wraps(function)
        def waiting(*args: Any, **kwargs: Any) -> Any:
            while not _heed(fence.current().permit()).allowed:
                time.sleep(fence.current().cache_seconds)
            return function(*args, **kwargs)

    return waiting


async def hold() -> None:
    """Returns once this region may work; holds what the function was given until then, or until the host stops."""
    while not (await permit()).allowed:
        await asyncio.sleep(fence.current().cache_seconds)


async def permit() -> Permit:
    """Whether this region may work; one that may not is on its way out."""
    return _heed(await ask())


async def ask() -> Permit:
    """What the fence says, and nothing follows from it."""
    known = fence.current().known()
    return known if known is not None else await asyncio.to_thread(fence.current().permit)


def last_known() -> Permit:
    """The same without waiting, as a load balancer's probe asks: what is too old is asked for, and told the next."""
    known = fence.current().known()
    if known is None:
        asyncio.get_running_loop().run_in_executor(None, fence.current().permit)
    return _heed(known or Permit(True))


def _heed(found: Permit) -> Permit:
    if not found.allowed:
        have_host_stopped(STANDS_STILL % found.reason)
    return found


def permit_at_load() -> Permit:
    """Whether to register the app's functions: the same answer for every worker process of one host.

    A host asks its first worker what functions there are. A worker that is started later, in the place of one that
    died, must have them too, whatever the fence says by then: the host goes on giving it their work.
    """
    current = fence.current()
    if isinstance(current, NoFence):
        return current.permit()
    found = current.permit()
    return found if _first_answer(found.allowed) == found.allowed else Permit(not found.allowed, found.reason)


def _first_answer(allowed: bool) -> bool:
    """What the first worker of this host noted; this one's, when it is the first or nothing can be noted."""
    note = Path(tempfile.gettempdir()) / f"durable-failover-{_host_name()}"
    try:
        note.symlink_to("allowed" if allowed else "fenced")  # made with its text in one step
    except FileExistsError:
        return os.readlink(note) == "allowed"
    except (OSError, NotImplementedError):
        pass
    return allowed


def _host_name() -> str:
    """The host's process, told from an earlier one with the same number by the time of its start."""
    number = os.getppid()
    try:
        started = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        started = "0"
    return f"{number}-{started}"


@functools.lru_cache(maxsize=1)
def have_host_stopped(why: str) -> None:
    """Asks the host, the parent of every worker process, to stop as the platform does it: it gives back what it holds.

    The platform then starts it again, and the app is loaded under the fence's present answer. Outside of a worker
    process (tests, tools) nothing is stopped.
    """
    log.warning(why)
    if os.environ.get("FUNCTIONS_WORKER_RUNTIME"):
        os.kill(os.getppid(), signal.SIGTERM)
