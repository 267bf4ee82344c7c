"""Every error the lab raises, grouped by who has to act; each text ends with the next step.

LabError
├── AppError                the app's author: it cannot be loaded; carries the app's own traceback
├── SettingsError           whoever wrote the settings: host.json, local.settings.json, a flag
│   ├── NotJson             … with file, line and column
│   └── HubNameNotAllowed   … the task hub cannot be called that
├── StartError              whoever starts the host: this machine is in the way
│   ├── PortTaken
│   └── InterpreterUnusable
└── RequestError            the caller of the management API; carries the HTTP status it becomes
    ├── ArgumentInvalid     400, as the extension's ArgumentException
    └── InstanceGone        410, the instance has ended
"""

from __future__ import annotations

from pathlib import Path


class LabError(Exception):
    """Base class of everything raised here; the text is one clear line for the person who reads it."""


class AppError(LabError):
    """The app cannot be loaded; `details` is its own traceback, empty when there is none."""

    def __init__(self, text: str, details: str = "") -> None:
        super().__init__(text)
        self.details = details


class SettingsError(LabError):
    """A setting that cannot be used."""


class NotJson(SettingsError):
    """A settings file is not JSON."""

    def __init__(self, file: Path, line: int, column: int, reason: str) -> None:
        super().__init__(f"{file}, line {line}, column {column}: {reason}. Correct the JSON and start again.")
        self.file, self.line, self.column = file, line, column


class HubNameNotAllowed(SettingsError):
    """A task hub cannot be called that."""


class StartError(LabError):
    """This machine does not let the host start."""


class PortTaken(StartError):
    """Another program listens on the port."""

    def __init__(self, port: int) -> None:
        super().__init__(f"Port {port} is taken. Stop the program that uses it, or give another one with --port.")
        self.port = port


class InterpreterUnusable(StartError):
    """The interpreter named for the app cannot run it."""


class RequestError(LabError):
    """A request that cannot be served; `status` is the HTTP status it becomes."""

    status = 500


class ArgumentInvalid(RequestError):
    """An argument of a request is wrong; `kind` is the .NET exception that the extension throws."""

    status = 400

    def __init__(self, text: str, kind: str = "System.ArgumentException") -> None:
        super().__init__(text)
        self.kind = kind


class InstanceGone(RequestError):
    """The instance has ended; nothing can be asked of it any more."""

    status = 410
