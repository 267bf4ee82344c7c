"""Every error that the recovery of a hub raises.

RecoveryError             the text says what is wrong and ends with the next step
├── HubNotFound           the account holds no such hub
├── HubNotReadable        the hub is of another version, or its parts do not fit together
├── HubIsLive             a host works on it; only looking is allowed
├── AppNotLoadable        the app's code cannot be loaded
├── JournalUnreachable    the journal's account does not answer
├── JournalOfAnotherHub   the journal belongs to another hub
└── Fenced                this region has been failed away from
"""

from __future__ import annotations


class RecoveryError(Exception):
    """Base class of everything raised here."""


class HubNotFound(RecoveryError):
    """The account holds no such hub."""


class HubNotReadable(RecoveryError):
    """The hub cannot be read as one."""


class HubIsLive(RecoveryError):
    """A host works on the hub."""


class AppNotLoadable(RecoveryError):
    """The app's code cannot be loaded."""
