"""An Azurite for the tests of what reads a hub and a journal, started once."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.taskhub.accounts import conftest as helpers


@pytest.fixture(scope="session")
def azurite() -> Iterator[str]:
    """A running Azurite of its own; its connection string."""
    if shutil.which("node") is None or not (helpers.ROOT / "node_modules" / "azurite").exists():
        pytest.skip("Azurite is not installed; `npm ci` installs it, and then the doctor is checked on it too")
    port = helpers.free_ports()
    command = [sys.executable, str(helpers.ROOT / "scripts" / "azurite"), "--in-memory", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        helpers.wait_for(process, port)
        yield helpers.connection_string(port)
    finally:
        process.terminate()
        process.wait(10)
