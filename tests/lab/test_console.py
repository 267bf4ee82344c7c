"""The host prints the block of functions and a line per execution as `func start` does."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest

from lab.console import Console, LoggedWorker
from lab.function_index import FunctionIndex
from lab.worker import EpisodeCall, FunctionInfo, HttpRequest, InvocationFailed
from lab.worker.local import LocalWorker
from tests.lab.worker.driver import Play

APPS = Path(__file__).parents[1] / "function_apps"
TIME = r"\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\] "
ID = r"[0-9a-f-]{36}"

pytestmark = pytest.mark.filterwarnings("ignore:azure.functions")


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


def trigger(name: str, kind: str, **binding: object) -> FunctionInfo:
    return FunctionInfo(name, kind, [{"name": "x", "type": kind, **binding}], name)


def test_functions_are_listed_with_methods_and_urls_then_triggers(out: io.StringIO) -> None:
    index = FunctionIndex([
        trigger("order", "orchestrationTrigger"), trigger("any", "httpTrigger"), trigger("meter", "eventHubTrigger"),
        trigger("start_order", "httpTrigger", methods=["POST"], route="orders/{id?}"),
    ])  # fmt: skip
    Console(out).functions(index, "http://localhost:7071", "api")
    assert out.getvalue() == (
        "\nFunctions:\n\n"
        "\tany: [GET,POST,PUT,DELETE,PATCH,HEAD,OPTIONS] http://localhost:7071/api/any\n\n"
        "\tstart_order: [POST] http://localhost:7071/api/orders/{id?}\n\n"
        "\tmeter: eventHubTrigger (not run here)\n\n"
        "\torder: orchestrationTrigger\n\n"
    )


def test_an_app_without_functions_is_told(out: io.StringIO) -> None:
    Console(out).functions(FunctionIndex([]), "http://h", "")
    assert "No functions found" in out.getvalue()


async def test_an_execution_has_a_line_before_and_after(out: io.StringIO) -> None:
    worker = LoggedWorker(LocalWorker(APPS / "http"), Console(out))
    await worker.http("text", HttpRequest("GET", "http://h/", [], {}, {}, b""), None)
    first, second = out.getvalue().splitlines()
    reason = "This function was programmatically called via the host APIs."
    begun = re.fullmatch(TIME + rf"Executing 'Functions.text' \(Reason='{reason}', Id=({ID})\)", first)
    ended = re.fullmatch(TIME + rf"Executed 'Functions.text' \(Succeeded, Id=({ID}), Duration=\d+ms\)", second)
    assert begun and ended and begun.group(1) == ended.group(1)


async def test_a_failure_shows_the_whole_traceback(out: io.StringIO) -> None:
    worker = LoggedWorker(LocalWorker(APPS / "corpus"), Console(out))
    with pytest.raises(InvocationFailed):
        await worker.activity("flaky", '"luck"', "i", None)
    said = out.getvalue()
    assert "Executing 'Functions.flaky' (Reason='(null)', Id=" in said and "(Failed, Id=" in said
    assert "Exception: ValueError: no luck\nStack:" in said and 'raise ValueError(f"no {what}")' in said


async def test_an_orchestrator_that_raised_is_a_failure_too(out: io.StringIO) -> None:
    worker = LoggedWorker(LocalWorker(APPS / "corpus"), Console(out))
    play = Play("raises_after", 1)
    play.schedule(await worker.episode(play.call()))
    play.arrive()
    call: EpisodeCall = play.call()
    await worker.episode(call)
    assert "(Failed, Id=" in out.getvalue() and "Exception: after hello 0" in out.getvalue()
    assert 'raise ValueError(f"after {result}")' in out.getvalue()


async def test_a_quiet_console_leaves_executions_out(out: io.StringIO) -> None:
    worker = LoggedWorker(LocalWorker(APPS / "corpus"), Console(out, quiet=True))
    await worker.activity("hello", '"x"', "i", None)
    assert out.getvalue() == ""


def test_the_apps_lines_have_their_level(out: io.StringIO) -> None:
    console = Console(out)
    console.app_log(20, "f", "plain")
    console.app_log(30, "f", "careful")
    console.app_output("printed")
    assert [line.split("] ", 1)[1] for line in out.getvalue().splitlines()] == ["plain", "warning: careful", "printed"]


def test_details_are_for_those_who_asked(out: io.StringIO) -> None:
    Console(out).detail("x")
    Console(out, verbose=True).detail("y")
    assert out.getvalue().endswith("] y\n") and "x" not in out.getvalue()


def test_a_terminal_without_the_letter_gets_its_escape() -> None:
    raw = io.BytesIO()
    terminal = io.TextIOWrapper(raw, encoding="ascii")
    Console(terminal).say("Zürich")
    assert raw.getvalue() == b"Z\\xfcrich\n"
