"""Runs the app on the local host as a process of its own: started, killed and started again on the same account."""

import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import function_app
from infra.hooks.build_package import sources

ROOT = Path(function_app.__file__).parent
START_SECONDS = 60
PAUSE_SECONDS = 0.05
FINISHED = ("Completed", "Failed", "Terminated")


class Reply:
    """One answer: status, text, and the text as JSON."""

    def __init__(self, status: int, text: bytes) -> None:
        self.status, self.text = status, text

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class RunningApp:
    """The app in a folder of its own, with settings of its own, on one account and one port."""

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        self.folder = folder
        for path in sources(ROOT):  # exactly what is deployed
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, folder / path)
        (folder / "local.settings.json").write_text(json.dumps({"IsEncrypted": False, "Values": settings}))
        self.port = _free_port()
        self.base = f"http://localhost:{self.port}"
        self.log = folder / "host.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts the host and waits until the app answers."""
        account = str(self.folder / "account.db")
        command = [sys.executable, "-m", "lab", "host", "--app", str(self.folder), "--port", str(self.port)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen([*command, "--storage", account], cwd=ROOT, stdout=log, stderr=log)
        self.until("GET", "/api/health", seconds=START_SECONDS)

    def kill(self) -> None:
        """kill -9, no goodbyes."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """Ends the host, if it runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()

    def said(self) -> str:
        """The end of the host's log, without the lines of the requests that only ask."""
        lines = [line for line in self.log.read_text().splitlines() if "Functions.get_instance" not in line]
        return "\n".join(lines[-40:])

    def send(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Reply:
        """One request; an unreachable host is status 0."""
        request = urllib.request.Request(f"{self.base}{path}", data=body or None, method=method, headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return Reply(answer.status, answer.read())
        except urllib.error.HTTPError as error:
            return Reply(error.code, error.read())
        except OSError as error:
            return Reply(0, str(error).encode())

    def until(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None, seconds: float = 30
    ) -> Reply:
        """The request again and again until it is answered with success, as a person who types slowly would see it."""
        deadline = time.monotonic() + seconds
        while True:
            reply = self.send(method, path, body, headers)
            if 200 <= reply.status < 300:
                return reply
            ended = self._process is not None and self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                raise AssertionError(f"{method} {path}: {reply.status} {reply.text!r}\n{self.said()}")
            time.sleep(PAUSE_SECONDS)

    def waits(self, instance_id: str, seconds: float = 30) -> None:
        """Returns once the instance has begun."""
        deadline = time.monotonic() + seconds
        while self.until("GET", f"/api/instances/{instance_id}").json["runtimeStatus"] == "Pending":
            assert time.monotonic() < deadline, self.said()
            time.sleep(PAUSE_SECONDS)

    def finished(self, instance_id: str, seconds: float = 60) -> dict[str, Any]:
        """The instance's status once it has ended."""
        deadline = time.monotonic() + seconds
        while True:
            status: dict[str, Any] = self.until("GET", f"/api/instances/{instance_id}").json
            if status["runtimeStatus"] in FINISHED:
                return status
            assert time.monotonic() < deadline, f"{status}\n{self.said()}"
            time.sleep(PAUSE_SECONDS)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
