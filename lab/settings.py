"""host.json, local.settings.json, flags and environment as one frozen Settings.

Names, units and defaults are the platform's, except where a comment says that the lab's differ.
"""

from __future__ import annotations

import json
import os
import re
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from lab.cors import Cors, read_cors
from lab.errors import AppError, SettingsError
from lab.host_json import (
    AppLease,
    DurableSettings,
    key_of,
    number,
    parse_timespan,
    read_durable,
    read_json,
    section,
    value,
)

__all__ = ["AppLease", "DurableSettings", "Flags", "Settings", "load"]

DEFAULT_PORT = 7071
HOST_OVERRIDE = "AzureFunctionsJobHost__"  # the platform's prefix of app settings that override host.json
PLATFORM_SETTINGS = frozenset(
    """
    AzureWebJobsStorage AzureWebJobsStorage__accountName FUNCTIONS_WORKER_PROCESS_COUNT PYTHON_SCRIPT_FILE_NAME
    PYTHON_THREADPOOL_THREAD_COUNT PYTHON_ENABLE_DEBUG_LOGGING PYTHONPATH WEBSITE_SITE_NAME WEBSITE_TIME_ZONE
    AzureFunctionsWebHost__hostid
    """.split()
)


@dataclass(frozen=True)
class Flags:
    """What the command line of `host` says; None and False: not said."""

    app: Path = Path(".")
    port: int | None = None
    storage: str | None = None
    python: Path | None = None
    require_keys: bool = False
    verbose: bool = False
    watch: bool = False
    workers: int | None = None
    lease_seconds: int | None = None
    cors: str | None = None
    cors_credentials: bool = False


@dataclass(frozen=True)
class Settings:
    """Everything a host is started with."""

    app: Path
    port: int
    storage: str
    durable: DurableSettings = DurableSettings()
    python: Path = Path(sys.executable)
    route_prefix: str = "api"
    function_timeout: timedelta | None = timedelta(minutes=30)  # None: no limit
    worker_processes: int = 1
    require_keys: bool = False
    verbose: bool = False
    watch: bool = False
    lease_seconds: int = 15  # of partitions; the platform's are 30, the lab takes over a dead host's sooner
    cors: Cors = Cors()
    worker_id: str = ""  # names this host in leases
    environment: Mapping[str, str] = field(default_factory=dict)  # of the app: local.settings.json and ours
    host_json: Mapping[str, Any] = field(default_factory=dict)  # as read, for triggers' own sections
    notes: tuple[str, ...] = ()  # what the person at the terminal should be told

    @property
    def origin(self) -> str:
        """Scheme, host and port under which this machine reaches the host."""
        return f"http://localhost:{self.port}"


def load(flags: Flags, environ: Mapping[str, str] | None = None) -> Settings:
    """Reads the app's settings. SettingsError, AppError: the text says which file and what to change."""
    environ = os.environ if environ is None else environ
    app = flags.app.resolve()
    if not app.is_dir():
        raise AppError(f"There is no folder {app}. Give the app's folder with --app.")
    local = read_json(app / "local.settings.json")
    environment = _environment(local, environ)
    host = _with_overrides(read_json(app / "host.json"), environment)
    notes: list[str] = []
    durable = read_durable(section(host, "extensions", "durableTask"), environment, notes)
    local_host = section(local, "Host")
    port = flags.port
    if port is None:
        port = number(local_host, "LocalHttpPort", "local.settings.json", DEFAULT_PORT, 1, 65535)
    environment.setdefault("WEBSITE_HOSTNAME", f"localhost:{port}")
    return Settings(
        app=app,
        port=port,
        storage=_storage(flags.storage, app, environment),
        durable=durable,
        python=_interpreter(flags.python),
        route_prefix=str(value(section(host, "extensions", "http"), "routePrefix", "api")).strip("/"),
        function_timeout=_timeout(host),
        worker_processes=flags.workers or _processes(environment),
        require_keys=flags.require_keys,
        verbose=flags.verbose,
        watch=flags.watch,
        lease_seconds=flags.lease_seconds or 15,
        cors=read_cors(local_host, flags.cors, flags.cors_credentials, notes),
        worker_id=f"{socket.gethostname()}:{port or f'pid{os.getpid()}'}",
        environment=environment,
        host_json=host,
        notes=tuple(notes),
    )


def _environment(local: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, str]:
    """The app settings: local.settings.json's Values, where the environment does not say otherwise."""
    if value(local, "IsEncrypted", False) is True:
        raise SettingsError("local.settings.json is encrypted. Run `func settings decrypt` and start again.")
    values = section(local, "Values")
    wrong = [name for name, text in values.items() if isinstance(text, (dict, list))]
    if wrong:
        raise SettingsError(f"local.settings.json: Values holds texts only; {wrong[0]} is none.")
    found = {name: _as_text(text) for name, text in values.items() if text is not None}
    found.setdefault("FUNCTIONS_WORKER_RUNTIME", "python")
    found.setdefault("AZURE_FUNCTIONS_ENVIRONMENT", "Development")
    counts = [name for name in environ if name in found or name in PLATFORM_SETTINGS or name.startswith(HOST_OVERRIDE)]
    return {**found, **{name: environ[name] for name in counts}}


def _as_text(setting: Any) -> str:
    return setting if isinstance(setting, str) else json.dumps(setting)


def _with_overrides(host: dict[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """host.json with the app settings AzureFunctionsJobHost__a__b laid over it."""
    for name, text in environment.items():
        if not name.startswith(HOST_OVERRIDE):
            continue
        *path, last = name.removeprefix(HOST_OVERRIDE).split("__")
        place = host
        for part in path:
            place = place.setdefault(key_of(place, part) or part, {})
            if not isinstance(place, dict):
                raise SettingsError(f"The app setting {name} does not fit host.json: {part} is no object there.")
        place[key_of(place, last) or last] = text
    return host


def _timeout(host: Mapping[str, Any]) -> timedelta | None:
    """How long a function may run, None for ever; by default as long as outside of the Consumption plan."""
    found = value(host, "functionTimeout", None)
    if found is None:
        return timedelta(minutes=30)
    expected = "a time span of 00:00:01 or more such as 00:10:00 is expected, or -1 for none."
    try:
        span = timedelta(0) if isinstance(found, bool) else parse_timespan(str(found))
    except ValueError as error:
        if str(found).strip() == "-1":
            return None
        raise SettingsError(f"host.json: functionTimeout is {found!r}; {expected}") from error
    if span == timedelta(days=-1):  # what the platform reads "-1" as
        return None
    if span < timedelta(seconds=1):
        raise SettingsError(f"host.json: functionTimeout is {found!r}; {expected}")
    return span


def _storage(flag: str | None, app: Path, environment: Mapping[str, str]) -> str:
    """What --storage names: an account, or the app setting that holds one; a file in the app's folder by default."""
    if flag is None:
        return str(app / ".lab" / "account.db")
    if environment.get(flag):
        return environment[flag]
    account = environment.get(f"{flag}__accountName")
    return f"identity:{account}" if account else flag


def _processes(environment: Mapping[str, str]) -> int:
    text = environment.get("FUNCTIONS_WORKER_PROCESS_COUNT", "1")
    if not re.fullmatch(r"[1-9]|10", text.strip()):
        raise SettingsError(f"FUNCTIONS_WORKER_PROCESS_COUNT is {text!r}; a whole number from 1 to 10 is expected.")
    return int(text)


def _interpreter(flag: Path | None) -> Path:
    if flag is None:
        return Path(sys.executable)
    found = Path(os.path.abspath(flag))  # not resolved: a virtual environment's python is a link
    if found.is_dir():  # a virtual environment's folder
        inside = (found / "bin" / "python", found / "Scripts" / "python.exe")
        found = next((path for path in inside if path.exists()), found)
    if not found.is_file():
        raise SettingsError(f"There is no Python interpreter {flag}. Name one with --python.")
    return found
