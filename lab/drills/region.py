"""The app in one region: a host as a real process on a real port, which can be stopped, or killed like a region."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lab.errors import LabError

STOP_SECONDS = 30.0
ROOT = Path(__file__).resolve().parent.parent.parent


class RegionFailed(LabError):
    """The host of a region could not be started, or ended by itself."""


@dataclass
class Region:
    """A region's app: deployed, and running or not."""

    name: str  # West Europe
    site: str  # what Azure calls WEBSITE_SITE_NAME
    storage: Path | str  # a file, or any account that --storage names
    logs: Path
    app: Path = ROOT
    port: int = 0
    settings: Mapping[str, str] = field(default_factory=dict)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def origin(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def log(self) -> Path:
        """What the host prints."""
        return self.logs / f"{self.name.lower().replace(' ', '-')}.log"

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def process_id(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Starts the host; it needs a moment until it answers."""
        self.port = self.port or free_port()
        command = [sys.executable, "-m", "lab", "host", "--app", str(self.app), "--port", str(self.port)]
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [*command, "--storage", str(self.storage)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._environment(),
                creationflags=_NEW_GROUP,
                start_new_session=os.name == "posix",
            )

    def check(self) -> None:
        """RegionFailed: the host has ended by itself; its last words are in the text."""
        if not self.is_running:
            words = "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])
            raise RegionFailed(f"The host of {self.name} has ended by itself. Its last words ({self.log}):\n{words}")

    def kill(self) -> None:
        """Ends the host and its workers at once, as `kill -9` does: nothing is finished, nothing released."""
        if self.is_running and self._process is not None:
            _kill_all(self._process)
            self._process.wait()

    def stop(self) -> None:
        """Asks the host to stop and waits; it finishes or hands back what it has in hand."""
        if not self.is_running or self._process is None:
            return
        if sys.platform == "win32":
            self._process.send_signal(signal.CTRL_BREAK_EVENT)
        else:
            self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            raise RegionFailed(f"The host of {self.name} did not stop within {STOP_SECONDS:.0f} seconds.") from None

    def _environment(self) -> dict[str, str]:
        paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH", ""))))
        return {**os.environ, **self.settings, "PYTHONPATH": paths, "WEBSITE_SITE_NAME": self.site}


if sys.platform == "win32":
    _NEW_GROUP = subprocess.CREATE_NEW_PROCESS_GROUP

    def _kill_all(process: subprocess.Popen[bytes]) -> None:
        subprocess.run(["taskkill", "/F", "/T", "/PID", str(process.pid)], capture_output=True, check=False)
else:
    _NEW_GROUP = 0

    def _kill_all(process: subprocess.Popen[bytes]) -> None:
        os.killpg(process.pid, signal.SIGKILL)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
