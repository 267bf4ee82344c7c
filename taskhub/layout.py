"""Names and keys of a task hub in a storage account, as DurableTask.AzureStorage lays it out."""

from __future__ import annotations

import re
from dataclasses import dataclass

from taskhub.errors import HubNameInvalid

CLIENT_EXECUTION = ""  # the execution id of a sender that is no orchestration
SENTINEL = "sentinel"
MAX_PARTITIONS = 16
_HUB_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]{2,44}")
_FNV_OFFSET, _FNV_PRIME = 2166136261, 16777619
_ESCAPES = {"^": "^^", "/": "^0", "\\": "^1", "#": "^2", "?": "^3"}
_ESCAPES |= {chr(code): "^" + chr(0xC0 + code) for code in (*range(0x20), *range(0x7F, 0xA0))}
_UNESCAPES = {value[1]: key for key, value in _ESCAPES.items()}
_NEEDS_ESCAPE = re.compile(r"[\^/\\#?\x00-\x1f\x7f-\x9f]")


def check_hub_name(name: str) -> str:
    """The name itself when a task hub may have it.

    HubNameInvalid: a hub's name becomes part of table, queue and container names, so it must begin with a letter, hold
    letters and digits only, and have 3 to 45 characters.
    """
    if not _HUB_NAME.fullmatch(name):
        raise HubNameInvalid(
            f"'{name}' cannot be the name of a task hub: it must begin with a letter and hold 3 to 45 letters and "
            "digits, nothing else. Change extensions.durableTask.hubName in host.json."
        )
    return name


def fnv1a(text: str) -> int:
    """The 32-bit FNV-1a hash of the text's UTF-8."""
    value = _FNV_OFFSET
    for byte in text.encode("utf-8", "surrogatepass"):
        value = ((value ^ byte) * _FNV_PRIME) & 0xFFFFFFFF
    return value


def app_lease_id(app_name: str) -> str:
    """The lease id that all workers of one app share."""
    return f"{fnv1a(app_name):08x}-0000-0000-0000-000000000000"


def escape_key(instance_id: str) -> str:
    """The instance id as a partition key (escape once only: it is not idempotent)."""
    return _NEEDS_ESCAPE.sub(lambda match: _ESCAPES[match.group()], instance_id)


def unescape_key(key: str) -> str:
    """The instance id of a partition key."""
    return re.sub(r"\^(.)", lambda match: _UNESCAPES.get(match.group(1), match.group()), key, flags=re.S)


def row_key(position: int) -> str:
    """The row key of the history event at a position."""
    return f"{position:016X}"


@dataclass(frozen=True)
class HubNames:
    """What a hub's tables, queues, containers and blobs are called."""

    hub: str
    partition_count: int = 4

    @property
    def history(self) -> str:
        return f"{self.hub}History"

    @property
    def instances(self) -> str:
        return f"{self.hub}Instances"

    @property
    def workitems(self) -> str:
        return f"{self.hub.lower()}-workitems"

    @property
    def control_queues(self) -> list[str]:
        return [self.control_queue_at(index) for index in range(self.partition_count)]

    def control_queue_at(self, index: int) -> str:
        """The control queue of one partition."""
        return f"{self.hub.lower()}-control-{index:02d}"

    def control_queue(self, instance_id: str) -> str:
        """The control queue of an instance: by the hash of its id, which is case-sensitive."""
        return self.control_queue_at(fnv1a(instance_id) % self.partition_count)

    @property
    def leases(self) -> str:
        return f"{self.hub.lower()}-leases"

    @property
    def app_lease(self) -> str:
        return f"{self.hub.lower()}-applease"

    @property
    def app_lease_info(self) -> str:
        return f"{self.hub.lower()}-appleaseinfo"

    @property
    def large_messages(self) -> str:
        return f"{self.hub.lower()}-largemessages"
