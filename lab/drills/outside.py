"""The world outside both regions during a drill: payment, shipping, mail and the supplier, as one process."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import requests

from lab import gateways
from lab.drills.mix import ON_HAND, ROWS, SOURCE
from lab.drills.region import ROOT, free_port
from lab.errors import LabError

START_SECONDS = 30.0
EFFECTS = ("charges", "shipments", "messages")  # of those no key may happen twice
PEOPLE = {"ada@example.com": "grace@example.com", "grace@example.com": None}


class OutsideFailed(LabError):
    """The process that stands in for the outside world did not start, or does not answer."""


class Outside:
    """Survives the loss of a region, as other people's services do."""

    def __init__(self, folder: Path, products: Iterable[str]) -> None:
        self._state, self._log, self._blobs = folder / "world.json", folder / "outside.log", folder / "blobs"
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        known = {name: {"on_hand": ON_HAND} for name in products}
        empty = gateways.World().state
        self._state.write_text(json.dumps({**empty, "products": known}), encoding="utf-8")
        (self._blobs / SOURCE).parent.mkdir(parents=True, exist_ok=True)
        (self._blobs / SOURCE).write_text(ROWS, encoding="utf-8")

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def settings(self) -> Mapping[str, str]:
        """What the app has to know of it, in both regions. The blobs lie outside both, as in a third region."""
        people, blobs = json.dumps(PEOPLE), str(self._blobs)
        return {**gateways.settings_for(self.base), "DIRECTORY": people, "BLOB_DIRECTORY": blobs,
                "MONITOR_HOSTS": "", "NIGHTLY_PRODUCTS": ""}  # fmt: skip

    async def start(self) -> None:
        """Starts the process and waits until it answers. OutsideFailed."""
        command = [sys.executable, "-m", "lab.gateways", "--port", str(self._port), "--state", str(self._state)]
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
        deadline = time.monotonic() + START_SECONDS
        while not await asyncio.to_thread(self._is_healthy):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise OutsideFailed(f"Nothing stands in for the outside world. See {self._log}.")
            await asyncio.sleep(0.05)

    def _is_healthy(self) -> bool:
        try:
            return requests.get(f"{self.base}/health", timeout=5).ok
        except requests.RequestException:
            return False

    async def world(self) -> dict[str, Any]:
        """Everything that happened there. OutsideFailed."""
        try:
            answer = await asyncio.to_thread(requests.get, f"{self.base}/world", timeout=10)
            found: dict[str, Any] = answer.json()
        except (requests.RequestException, ValueError) as error:
            raise OutsideFailed(f"The outside world does not answer: {error}. See {self._log}.") from error
        return found

    def close(self) -> None:
        """Ends the process."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def twice(world: Mapping[str, Any]) -> list[str]:
    """Effects that happened more than once under one idempotency key, as `what key`."""
    found = []
    for what in EFFECTS:
        counted = Counter(str(one.get("key")) for one in world.get(what, []))
        found += [f"{what} {key}" for key, count in sorted(counted.items()) if count > 1]
    return found


def missing(world: Mapping[str, Any], orders: Iterable[str]) -> list[str]:
    """Effects of completed orders that never happened, as `what instance`."""
    found = []
    for what, step in (("charges", "payment"), ("shipments", "shipping"), ("messages", "mail")):
        keys = {str(one.get("key")) for one in world.get(what, [])}
        found += [f"{what} {order}" for order in orders if f"{order}/{step}" not in keys]
    return found
