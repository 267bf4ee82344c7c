"""The app over HTTP on the local host: the page's lines one after the other, and a host that is killed half-way."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import gateways
from lab.right_results import greetings, is_right, right
from tests.workflows.conftest import Outside
from tests.workflows.doc_lines import Line, lines_of
from tests.workflows.running import ROOT, RunningApp

STORE = "AzureFunctionsJobHost__extensions__durableTask__storageProvider__"
# What a killed host had in hand comes back after this long; on Azure the least for control queues is a minute.
QUICK = {f"{STORE}{queue}QueueVisibilityTimeout": "00:00:03" for queue in ("control", "workItem")}
EXAMPLE = json.loads((ROOT / "local.settings.json.example").read_text())["Values"]
LINES = lines_of(ROOT / "docs" / "workflows.md")

# What is so after all lines of the page: the instance's output, or a part of it.
RIGHT_RESULTS: dict[str, Any] = {
    "wait-1": "2026-01-31T12:00:00Z",
    "hello-1": greetings(),
    "hello-2": greetings(("Zürich", "Oslo")),
    "order-1": right("order", total=900),
    "order-2": right("order, card declined"),
    "order-3": right("order", total=450),
    "oven": right("proposal_approval", decided_by="alan@example.com"),
    "boat": right("proposal_approval, withdrawn", decided_by="ada@example.com"),
    "year": right("report"),
    "quick": right("report"),
    "endless": right("report, cancelled"),
    "pay": right("monitor"),
    "site": right("monitor, stopped"),
    "watch-fridge": right("device_watch, stopped", told=["r-2"]),
    "july": right("etl", good=1, bad=1),
    "nightly": right("nightly", date="2026-01-31"),
    "meter": right("eternal, stopped", batches=1, items=2),
}


@pytest.fixture(scope="module")
def outside() -> Iterator[Outside]:
    served = Outside()
    served.world.state["products"] = dict(gateways.STOCKED)
    yield served
    served.close()


def app_in(folder: Path, outside: Outside) -> RunningApp:
    settings = {**EXAMPLE, **gateways.settings_for(outside.base), "BLOB_DIRECTORY": str(folder / "blobs")} | QUICK
    return RunningApp(folder, {name: value for name, value in settings.items() if name != "AzureWebJobsStorage"})


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, outside: Outside) -> Iterator[RunningApp]:
    app = app_in(tmp_path_factory.mktemp("app"), outside)
    app.start()
    yield app
    app.stop()


def play(line: Line, running: RunningApp, outside: Outside) -> None:
    """Sends the line to where this test runs, until it is answered with success."""
    if ":7081/" in line.url:
        mode = json.loads(line.body)["mode"] if line.body else ""
        outside.fail("payment", mode)
        return
    path = line.url.split("localhost:7071", 1)[1]
    running.until(line.method, path, line.body, line.headers)


def test_the_lines_of_the_page_do_what_the_page_says(running: RunningApp, outside: Outside) -> None:
    for line in LINES:
        play(line, running, outside)
    for instance_id, wanted in RIGHT_RESULTS.items():
        status = running.finished(instance_id)
        assert status["runtimeStatus"] == "Completed", status
        assert is_right(status["output"], wanted), status
    running.finished("delivery-1")
    assert running.until("GET", "/api/stock/tea").json["on_hand"] == 197
    sums = outside.sums()
    assert (sums["charges"], sums["shipments"], sums.get("refunds", 0)) == (2, 2, 0)


@pytest.mark.parametrize(
    "method, path, body, status",
    [
        ("POST", "/api/orchestrators/nothing", b"", 404),
        ("POST", "/api/orders", b"{", 400),
        ("POST", "/api/orders", b'{"lines": []}', 400),
        ("POST", "/api/orchestrators/external_event", b'"' + b"x" * 1_048_577 + b'"', 413),
        ("POST", "/api/orchestrators/external_event?id=a%2Fb", b"", 400),
        ("GET", "/api/instances/nobody", b"", 404),
        ("GET", "/api/devices/nobody", b"", 404),
        ("POST", "/api/SendExternalEvent", b'{"instanceId": "nobody"}', 404),
    ],
)
def test_bad_input_is_refused_in_one_form_and_starts_nothing(
    running: RunningApp, method: str, path: str, body: bytes, status: int
) -> None:
    reply = running.send(method, path, body)
    assert reply.status == status and {"message", "problems"} <= reply.json.keys()


def test_a_start_by_get_works_as_well(running: RunningApp) -> None:
    links = running.until("GET", "/api/orchestrators/hello_cities?id=by-get").json
    assert links["id"] == "by-get" and links["statusQueryGetUri"].startswith(running.base)
    assert running.finished("by-get")["output"][0] == "Hello Tokyo!"


def test_an_event_for_a_finished_instance_is_410(running: RunningApp) -> None:
    running.until("POST", "/api/orchestrators/hello_cities?id=gone")
    running.finished("gone")
    assert running.send("POST", "/api/SendExternalEvent", b'{"instanceId": "gone"}').status == 410


def test_what_was_in_flight_when_the_host_was_killed_ends_as_if_nothing_had_happened(
    tmp_path: Path, outside: Outside
) -> None:
    app = app_in(tmp_path, outside)
    app.start()
    try:
        before = outside.sums().get("charges", 0)
        running = [f"kill-{number}" for number in range(12)]
        order = {"customer": "kim@example.com", "card": "tok_visa"}
        order["lines"] = [{"sku": "cup", "quantity": 1, "unit_price": 100}]  # type: ignore[assignment]
        app.until("POST", "/api/orchestrators/external_event?id=kill-wait")
        # An event waits until its instance has begun; a killed host could hide the start for a minute.
        app.waits("kill-wait")
        for instance_id in running:
            app.until("POST", f"/api/orders?id={instance_id}", json.dumps(order).encode())
        app.until("POST", "/api/reports?id=kill-report", b'{"parts": 8, "rows_per_part": 5}')
        for _ in range(3):
            app.kill()
            app.start()
        app.until("POST", "/api/SendExternalEvent", b'{"instanceId": "kill-wait", "data": 7}')
        outputs = [app.finished(instance_id, seconds=120)["output"] for instance_id in running]
        assert [output["status"] for output in outputs] == ["completed"] * 12
        assert outside.sums()["charges"] - before == 12
        assert app.finished("kill-report", seconds=120)["output"]["status"] == "written"
        assert app.finished("kill-wait")["output"] == 7
        assert app.until("GET", "/api/stock/cup").json["on_hand"] == 1000 - 12
    finally:
        app.stop()
