"""Every error that an operator's command can end with, drawn as a tree.

OperatorError             exit code 1; the message says what is wrong and ends with the next step
├── NotLoggedIn           nobody is signed in, or the sign-in has expired
├── NotVisible            a resource of the environment is not there for whoever is signed in
├── NotProvisioned        the environment lacks a value that provisioning writes
├── Refused               the state does not allow the command; nothing was changed
├── ArmError              Azure answered with an error
│   └── NotFound          404 that stays
└── ArmUnavailable        Azure did not answer, after every retry
"""

from __future__ import annotations


class OperatorError(Exception):
    """What is wrong, and the next step."""

    exit_code = 1


class NotLoggedIn(OperatorError):
    """Nobody is signed in to Azure."""


class NotVisible(OperatorError):
    """A resource of the environment is not where the environment says."""


class NotProvisioned(OperatorError):
    """The environment does not name the deployment."""


class Refused(OperatorError):
    """The command is not allowed in this state; nothing was changed."""


class ArmError(OperatorError):
    """Azure Resource Manager answered with an error."""

    def __init__(self, status: int, code: str, message: str) -> None:
        rights = " The rights that the commands need are in docs/operations.md." if status == 403 else ""
        super().__init__(f"Azure answered {status} {code}: {message}{rights}")
        self.status = status
        self.code = code


class NotFound(ArmError):
    """The resource or the subscription is not there, or this account may not see it."""


class ArmUnavailable(OperatorError):
    """The management plane did not answer."""
