"""Commands in the documents, the messages and the workflows can be typed; what they name exists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml

from recovery.operator_cli import COMMANDS, _parser

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("architecture", "runbook", "operations", "deploy", "backends")
SOURCES = [
    *(ROOT / "docs" / f"{page}.md" for page in PAGES),
    *(ROOT / ".github" / "workflows" / f"{name}.yml" for name in ("deploy", "watch")),
    *(ROOT / "recovery" / f"{name}.py" for name in ("regions", "guard", "status", "failover", "reprotect", "settle")),
]
COMMAND = re.compile(r"python -m recovery ((?:\w+)(?: --?[\w-]+(?: (?:[A-Z]?[\w./]+(?=\W|$)))?)*)")


def typed() -> list[tuple[str, str]]:
    """Every command line of the operator's commands, with the file that has it."""
    found = {(p.name, m.group(1)) for p in SOURCES for m in COMMAND.finditer(p.read_text())}
    return sorted((name, line) for name, line in found if line.split()[0] in COMMANDS)


def flags(line: str) -> list[str]:
    return [word for word in shlex.split(line) if word.startswith("-")]


@pytest.mark.parametrize(("source", "line"), typed())
def test_a_command_that_is_written_down_has_these_flags(source: str, line: str) -> None:
    known = {option for action in _parser(line.split()[0])._actions for option in action.option_strings}
    assert [flag for flag in flags(line) if flag not in known] == []


def test_commands_are_written_down_in_every_document_that_needs_them() -> None:
    assert {"runbook.md", "deploy.md", "watch.yml"} <= {source for source, _ in typed()}


@pytest.mark.parametrize("page", PAGES)
def test_links_between_the_documents_lead_somewhere(page: str) -> None:
    text = (ROOT / "docs" / f"{page}.md").read_text()
    for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        if not link.startswith("http") and link not in WRITTEN_ELSEWHERE:
            assert (ROOT / "docs" / link).is_file(), link


@pytest.mark.parametrize("page", PAGES)
def test_anchors_lead_to_headings(page: str) -> None:
    text = (ROOT / "docs" / f"{page}.md").read_text()
    for target, anchor in re.findall(r"\]\(([\w.-]*\.md)?#([^)]+)\)", text):
        other = (ROOT / "docs" / target).read_text() if target else text
        titles = re.findall(r"^#+ (.+)$", other, re.M)
        headings = {re.sub(r"[^\w -]", "", title.lower()).strip().replace(" ", "-") for title in titles}
        assert anchor in headings, f"{target}#{anchor}"


@pytest.mark.parametrize("name", ["deploy", "watch"])
def test_a_workflow_reads_files_that_exist_and_stores_no_secret(name: str) -> None:
    text = (ROOT / ".github" / "workflows" / f"{name}.yml").read_text()
    jobs = yaml.safe_load(text)["jobs"]
    runs = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    for file in re.findall(r"--(?:requirement|file) (\S+)", "\n".join(runs)):
        assert (ROOT / file).is_file(), file
    assert "secrets." not in text
    assert yaml.safe_load(text)["permissions"] == {"contents": "read", "id-token": "write"}


WRITTEN_ELSEWHERE = {"recovery.md"}
