"""The documentation speaks of this app: its sections, its lines and its settings."""

import json
import re
from pathlib import Path

import pytest

import function_app
import workflows
from tests.workflows.doc_lines import Line, lines_of
from tests.workflows.driver import FUNCTIONS
from tests.workflows.test_function_app import HTTP

ROOT = Path(function_app.__file__).parent
PAGE = ROOT / "docs" / "workflows.md"
LINES = lines_of(PAGE)
APP = [line for line in LINES if ":7071/" in line.url]


@pytest.mark.parametrize("workflow", workflows.CATALOGUE, ids=lambda w: w.name)
def test_every_workflow_has_its_section(workflow: workflows.Workflow) -> None:
    headings = [line for line in PAGE.read_text().splitlines() if line.startswith("## ")]
    assert any(re.search(rf"\b{workflow.name}\b", heading) for heading in headings)


@pytest.mark.parametrize("workflow", workflows.CATALOGUE, ids=lambda w: w.name)
def test_every_workflow_has_a_line_that_starts_it(workflow: workflows.Workflow) -> None:
    pattern = re.sub(r"\{\w+\}", "[^/]+", workflow.route)
    assert any(line.method == "POST" and re.fullmatch(f"/api/{pattern}", line.path) for line in APP)


@pytest.mark.parametrize("line", APP, ids=lambda line: f"{line.method} {line.path}")
def test_every_line_meets_a_function(line: Line) -> None:
    for function in HTTP:
        trigger = function.get_trigger()
        pattern = re.sub(r"\{\w+\}", "[^/]+", trigger.route)
        methods = [getattr(method, "value", method) for method in trigger.methods]
        if line.method in methods and re.fullmatch(f"/api/{pattern}", line.path):
            return
    pytest.fail(f"no function serves {line.method} {line.path}")


def test_the_catalogue_and_the_orchestrators_agree() -> None:
    names = {workflow.name for workflow in workflows.CATALOGUE}
    assert names == FUNCTIONS["orchestrationTrigger"].keys() - {"etl_part"}


def test_the_readme_s_table_has_a_row_for_every_workflow() -> None:
    rows = workflows.table().splitlines()
    assert len(rows) == 2 + len(workflows.CATALOGUE) and "| `order` | `POST /api/orders` |" in workflows.table()
    assert all(row.count("|") == 5 for row in rows)


def test_settings_in_code_example_and_page_are_the_same() -> None:
    code = "\n".join(path.read_text() for path in (ROOT / "workflows").glob("*.py"))
    read = set(re.findall(r'(?:settings\.text|settings\.required|Service)\(\s*"(\w+)"', code))
    read |= {"DIRECTORY"}
    ours = {name for name in read if not name.startswith("AzureWebJobsStorage")}
    example = set(json.loads((ROOT / "local.settings.json.example").read_text())["Values"])
    platform = {"FUNCTIONS_WORKER_RUNTIME", "AzureWebJobsStorage", "PYTHON_THREADPOOL_THREAD_COUNT"}
    table = PAGE.read_text().split("## Settings")[1]
    first_cells = "\n".join(row.split("|")[1] for row in table.splitlines() if "`" in row)
    documented = set(re.findall(r"`([A-Z_]+)`", first_cells))
    assert ours == example - platform == documented


def test_the_example_s_directory_is_one_that_the_app_can_read(monkeypatch: pytest.MonkeyPatch) -> None:
    from workflows import people

    values = json.loads((ROOT / "local.settings.json.example").read_text())["Values"]
    monkeypatch.setenv("DIRECTORY", values["DIRECTORY"])
    assert people.managers("ada@example.com") == ["grace@example.com", "edsger@example.com", "alan@example.com"]
