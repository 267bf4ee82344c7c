"""Worker processes: the app's own interpreter, path and folder; they die with the host and are started again."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from lab import settings
from lab.errors import AppError, InterpreterUnusable
from lab.settings import Flags
from lab.worker import EpisodeResult, FunctionTimedOut, HttpRequest, InvocationFailed, SessionLost, WorkerGone
from lab.worker.process import ProcessWorker
from tests.lab.worker.apps import FIXTURES, write_app
from tests.lab.worker.driver import Play

REPOSITORY = Path(__file__).parents[3]


class Lines:
    """Keeps what would be printed, and lets a test wait for it."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self._more = asyncio.Event()

    def app_log(self, level: int, function: str, text: str) -> None:
        self._add(f"{level} {function}: {text}")

    def app_output(self, line: str) -> None:
        self._add(line)

    def worker_line(self, text: str) -> None:
        self._add(text)

    def _add(self, text: str) -> None:
        self.said.append(text)
        self._more.set()

    async def wait_for(self, text: str) -> None:
        while not any(text in line for line in self.said):
            self._more.clear()
            await asyncio.wait_for(self._more.wait(), 20)


@pytest.fixture
def lines() -> Lines:
    return Lines()


@pytest.fixture
async def worker(lines: Lines) -> AsyncIterator[ProcessWorker]:
    worker = await ProcessWorker.start(FIXTURES / "corpus", Path(sys.executable), {}, lines, processes=2)
    yield worker
    await worker.close()


def get(path: str = "x", method: str = "GET") -> HttpRequest:
    return HttpRequest(method, f"http://h/{path}", [], {}, {}, b"")


async def test_functions_run_in_the_process_as_in_this_one(worker: ProcessWorker) -> None:
    assert {info.registered_name for info in worker.functions} >= {"Renamed", "weigh", "Counter"}
    assert await worker.activity("hello", '"x"', "i", None) == '"Hello x!"'
    assert await worker.activity("hello_async", '"x"', "i", None) == '"Hello x, later!"'
    with pytest.raises(InvocationFailed, match="^ValueError: no luck$") as caught:
        await worker.activity("flaky", '"luck"', "i", None)
    assert "raise ValueError" in caught.value.stack


async def test_an_instances_orchestrator_is_kept_in_its_process(worker: ProcessWorker) -> None:
    for seed in range(8):
        play = Play("chain", seed)
        play.schedule(await worker.episode(play.call(keep=True)))
        play.arrive()
        second = await worker.episode(play.call(start_index=2, keep=True))
        assert [action["input"] for action in second.actions] == ['"Seattle"']
    worker.forget("i")
    with pytest.raises(SessionLost):
        await worker.episode(play.call(start_index=2, keep=True))


async def test_a_process_that_dies_fails_its_calls_and_is_started_again(worker: ProcessWorker, lines: Lines) -> None:
    waiting = [asyncio.create_task(worker.activity("sleeps", "30", "i", None)) for _ in range(2)]
    await lines.wait_for("asleep")
    before = worker.process_ids
    for process_id in before:
        os.kill(process_id, signal.SIGKILL)
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results] == [WorkerGone, WorkerGone]
    await lines.wait_for("it is started again")
    assert await worker.activity("hello", '"x"', "i", None) == '"Hello x!"'
    assert not set(worker.process_ids) & set(before)


class Impatient:
    """Processes that end a function after a moment."""

    LIMIT = timedelta(seconds=1)

    @classmethod
    async def start(cls, root: Path, lines: Lines, processes: int = 1) -> ProcessWorker:
        return await ProcessWorker.start(root, Path(sys.executable), {}, lines, processes, cls.LIMIT)


async def test_a_function_that_runs_too_long_fails_and_its_process_is_started_again(lines: Lines) -> None:
    worker = await Impatient.start(FIXTURES / "corpus", lines)
    try:
        before = worker.process_ids
        text = "Timeout value of 00:00:01 was exceeded by function: Functions.sleeps"
        with pytest.raises(FunctionTimedOut, match=f"^{text}$"):
            await worker.activity("sleeps", "30", "i", None)
        await lines.wait_for("exceeded by function 'Functions.sleeps'")
        assert await worker.activity("hello", '"x"', "i", None) == '"Hello x!"'
        assert not set(worker.process_ids) & set(before)
    finally:
        await worker.close()


async def test_what_ran_beside_a_function_that_ran_too_long_is_to_be_run_again(lines: Lines) -> None:
    worker = await Impatient.start(FIXTURES / "corpus", lines)
    try:
        late = asyncio.create_task(worker.activity("sleeps", "30", "i", None))
        await lines.wait_for("asleep")
        later = asyncio.create_task(worker.activity("sleeps", "30", "j", None))
        results = await asyncio.gather(late, later, return_exceptions=True)
        assert [type(result) for result in results] == [FunctionTimedOut, WorkerGone]
    finally:
        await worker.close()


async def test_an_orchestrator_that_never_yields_is_ended_and_to_be_played_again(tmp_path: Path, lines: Lines) -> None:
    app = write_app(tmp_path, ENDLESS)
    worker = await Impatient.start(app, lines)
    try:
        play = Play("endless", 0)
        with pytest.raises(WorkerGone, match="Timeout value of 00:00:01 was exceeded by function: Functions.endless"):
            await worker.episode(play.call())
        assert await worker.activity("hello", '"x"', "i", None) == '"Hello x!"'
    finally:
        await worker.close()


async def test_who_ends_the_process_does_so_alone_when_it_is_played_again(tmp_path: Path, lines: Lines) -> None:
    worker = await ProcessWorker.start(write_app(tmp_path, DEADLY), Path(sys.executable), {}, lines)
    deadly = replace(Play("deadly", 0).call(), instance_id="deadly")
    harmless = replace(Play("harmless", 0).call(), instance_id="harmless")
    try:
        both = await asyncio.gather(worker.episode(deadly), worker.episode(harmless), return_exceptions=True)
        assert [type(one) for one in both] == [WorkerGone, WorkerGone]
        gone, played = await asyncio.gather(worker.episode(deadly), worker.episode(harmless), return_exceptions=True)
        assert isinstance(gone, WorkerGone)
        assert isinstance(played, EpisodeResult) and played.output == '"fine"'
    finally:
        await worker.close()


DEADLY = """
import os

app = df.DFApp()

@app.orchestration_trigger(context_name="context")
def deadly(context):
    os._exit(3)

@app.orchestration_trigger(context_name="context")
def harmless(context):
    return "fine"
    yield
"""


ENDLESS = """
app = df.DFApp()

@app.orchestration_trigger(context_name="context")
def endless(context):
    while True:
        pass

@app.activity_trigger(input_name="name")
def hello(name: str) -> str:
    return f"Hello {name}!"
"""


async def test_closing_ends_the_processes_whatever_they_do(lines: Lines) -> None:
    worker = await ProcessWorker.start(FIXTURES / "corpus", Path(sys.executable), {}, lines)
    waiting = asyncio.create_task(worker.activity("sleeps", "30", "i", None))
    await lines.wait_for("asleep")
    process_id = worker.process_ids[0]
    await worker.close()
    with pytest.raises(WorkerGone):
        await waiting
    with pytest.raises(ProcessLookupError):
        os.kill(process_id, 0)


async def test_an_app_may_call_its_modules_as_the_host_does(lines: Lines) -> None:
    """Imports from its root, settings before import, PYTHONPATH, another script name, its folder as working folder."""
    chosen = settings.load(Flags(app=FIXTURES / "collisions"), environ={})
    worker = await ProcessWorker.start(chosen.app, chosen.python, chosen.environment, lines)
    try:
        answer = await worker.http("where", get(), None)
        assert await worker.activity("shout", '"x"', "i", None) == '"X"'
    finally:
        await worker.close()
    assert json.loads(answer.body) == {
        "limit": 7, "names": ["a", "b"], "config": "the app's own", "city": "Oslo", "greeting": "Hello Ada",
        "folder": str(FIXTURES / "collisions"), "module": "main_app",
    }  # fmt: skip


async def test_what_the_app_prints_and_logs_arrives_as_it_happens(lines: Lines) -> None:
    worker = await ProcessWorker.start(FIXTURES / "http", Path(sys.executable), {}, lines)
    try:
        await worker.http("talks", get(), None)
        await lines.wait_for("printed by the app")
        await lines.wait_for("30 talks: logged by the app")
    finally:
        await worker.close()


async def test_a_sync_function_does_not_block_the_others(lines: Lines) -> None:
    worker = await ProcessWorker.start(FIXTURES / "corpus", Path(sys.executable), {}, lines)
    try:
        waiting = asyncio.create_task(worker.activity("sleeps", "30", "i", None))
        await lines.wait_for("asleep")
        assert await worker.activity("hello", '"x"', "i", None) == '"Hello x!"'
        assert not waiting.done()
        waiting.cancel()
    finally:
        await worker.close()


async def test_an_app_that_cannot_be_loaded_is_told_with_its_traceback(tmp_path: Path, lines: Lines) -> None:
    app = write_app(tmp_path, "raise ValueError('at import')\n")
    with pytest.raises(AppError) as caught:
        await ProcessWorker.start(app, Path(sys.executable), {}, lines, processes=2)
    assert "ValueError: at import" in str(caught.value)
    assert 'function_app.py", line 3' in caught.value.details


async def test_an_interpreter_without_the_libraries_is_told(tmp_path: Path, lines: Lines) -> None:
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare)], check=True)
    app = write_app(tmp_path, "app = func.FunctionApp()\n")
    with pytest.raises(AppError, match=r"cannot import azure-functions.*--python"):
        await ProcessWorker.start(app, bare / "bin" / "python", {}, lines)


async def test_a_program_that_is_no_interpreter_is_told(tmp_path: Path, lines: Lines) -> None:
    with pytest.raises(InterpreterUnusable, match="--python"):
        await ProcessWorker.start(tmp_path, tmp_path / "python", {}, lines)
    with pytest.raises(InterpreterUnusable, match="ended with code"):
        await ProcessWorker.start(tmp_path, Path("/bin/true"), {}, lines)


async def test_the_processes_die_with_the_host(tmp_path: Path) -> None:
    """Also when the host is killed, and also while an app's code keeps the worker busy."""
    script = tmp_path / "host.py"
    script.write_text(HOST_SCRIPT, "utf-8")
    host = await asyncio.create_subprocess_exec(
        sys.executable, str(script), str(FIXTURES / "corpus"), cwd=REPOSITORY, stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip
    assert host.stdout is not None
    worker_id = int(await asyncio.wait_for(host.stdout.readline(), 20))
    host.kill()
    await host.wait()
    for _ in range(2000):
        if not is_running(worker_id):
            return
        await asyncio.sleep(0.005)
    pytest.fail("the worker lives on")


def is_running(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{process_id}/stat")
    return not status.exists() or status.read_text().rsplit(")", 1)[1].split()[0] != "Z"


HOST_SCRIPT = """
import asyncio, sys
from pathlib import Path
from lab.worker.process import ProcessWorker

class Quiet:
    def app_log(self, level, function, text): pass
    def app_output(self, line): pass
    def worker_line(self, text): pass

async def main():
    worker = await ProcessWorker.start(Path(sys.argv[1]), Path(sys.executable), {}, Quiet())
    print(worker.process_ids[0], flush=True)
    await worker.activity("sleeps", "30", "i", None)

asyncio.run(main())
"""
