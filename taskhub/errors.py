"""Every error that `taskhub` raises.

TaskHubError
├── AccountError              the storage account refuses or fails
│   ├── AccountNotUsable      cannot be opened at all: unknown specification, no permission, not a hub's account
│   ├── AccountUnreachable    opened before, does not answer now; worth trying again
│   ├── NotFound              404: no such table, entity, queue, message, container or blob
│   ├── Conflict              409: it exists already, or somebody else holds the lease
│   └── PreconditionFailed    412: the etag, pop receipt or lease id is not the current one
├── HubNameInvalid            a task hub may not be called that
├── Undecodable               a message, row or blob that cannot be read
├── InstanceExists            a start with the id of an instance that is not finished
├── InstanceNotFound          no instance of that id
└── InvalidOperation          the instance's state forbids the operation
"""

from __future__ import annotations


class TaskHubError(Exception):
    """Base class of everything raised here; the text is meant for the person who reads it."""


class AccountError(TaskHubError):
    """A storage account refused or failed."""


class AccountNotUsable(AccountError):
    """The account cannot be opened."""


class AccountUnreachable(AccountError):
    """The account does not answer now."""


class NotFound(AccountError):
    """404."""


class Conflict(AccountError):
    """409."""


class PreconditionFailed(AccountError):
    """412."""


class HubNameInvalid(TaskHubError):
    """A task hub may not be called that."""


class Undecodable(TaskHubError):
    """A message, row or blob that cannot be read."""


class InstanceExists(TaskHubError):
    """A start with the id of an instance that is not finished."""


class InstanceNotFound(TaskHubError):
    """No instance of that id."""


class InvalidOperation(TaskHubError):
    """The instance's state forbids the operation."""
