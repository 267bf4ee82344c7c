"""Hosts of the ledger app as real processes on one account, and the calls to them that tests make."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from lab.drills.region import Region

APP = Path(__file__).resolve().parent.parent / "function_apps" / "ledger"
HOOK = "/runtime/webhooks/durabletask"
READY_SECONDS = 30.0
MANY = 100_000  # instances on one page
TERMINAL = ("Completed", "Failed", "Terminated")


@dataclass(frozen=True)
class Ledger:
    """What the app's activities did, whoever ran them."""

    path: Path

    def lines(self) -> list[dict[str, Any]]:
        if not self.path.exists():
            return []
        return [json.loads(line) for line in self.path.read_text().splitlines()]

    def count(self, moment: str) -> Counter[tuple[str, int]]:
        """How often each step of each instance began or ended."""
        return Counter((line["instance"], line["step"]) for line in self.lines() if line["moment"] == moment)


@dataclass
class Place:
    """An account's file, a ledger, and the hosts that use them."""

    folder: Path
    ledger: Ledger
    hosts: list[Region] = field(default_factory=list)

    def host(self, site: str = "ledger") -> Region:
        """One more host, not yet started."""
        settings = {"LEDGER": str(self.ledger.path)}
        name = f"{site} {len(self.hosts)}"
        region = Region(name, site, self.folder / "account.db", self.folder, APP, settings=settings)
        self.hosts.append(region)
        return region


def started(host: Region) -> Region:
    """Starts the host and waits until it answers."""
    host.start()
    answers: list[str] = []
    until(lambda: answers.append(answer(host)) or answers[-1] == "200", host, READY_SECONDS, answers)
    return host


def answer(host: Region) -> str:
    """The status and, if it is not 200, the text of the host's answer; why there is none."""
    try:
        found = requests.get(f"{host.origin}{HOOK}/instances?top=1", timeout=5)
    except requests.RequestException as error:
        return repr(error)
    return "200" if found.status_code == 200 else f"{found.status_code} {found.text[:1000]}"


def start(host: Region, name: str, instance_id: str, data: Any = None) -> bool:
    """Whether the host accepted the start; it may be killed while asked."""
    return _posted(host, f"/orchestrators/{name}/{instance_id}", data)


def raise_event(host: Region, instance_id: str, name: str, data: Any) -> bool:
    """Whether the host accepted the event."""
    return _posted(host, f"/instances/{instance_id}/raiseEvent/{name}", data)


def _posted(host: Region, path: str, data: Any) -> bool:
    try:
        return requests.post(f"{host.origin}{HOOK}{path}", json=data, timeout=10).status_code == 202
    except requests.RequestException:
        return False


def status(host: Region, instance_id: str) -> dict[str, Any]:
    """The status document, {} when there is none or the host is gone."""
    try:
        answer = requests.get(f"{host.origin}{HOOK}/instances/{instance_id}", timeout=10)
        return dict(answer.json()) if answer.status_code in (200, 202) else {}
    except requests.RequestException:
        return {}


def statuses(host: Region) -> dict[str, dict[str, Any]]:
    """All instances by id, {} when the host is gone."""
    try:
        answer = requests.get(f"{host.origin}{HOOK}/instances?top={MANY}", timeout=60)
        return {one["instanceId"]: one for one in answer.json()} if answer.status_code == 200 else {}
    except requests.RequestException:
        return {}


def until(condition: Callable[[], Any], host: Region, seconds: float, seen: Sequence[str] = ()) -> None:
    """Waits for real processes; fails with the host's last words, and the last of what was seen meanwhile."""
    deadline = time.monotonic() + seconds
    while not condition():
        host.check()
        assert time.monotonic() < deadline, f"{host.log.read_text()[-3000:]}\n{' '.join(seen[-1:])}"
        time.sleep(0.05)
