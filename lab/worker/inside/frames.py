"""JSON messages over a stream: four bytes of length, then the text; the same on both ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, cast

HEADER = 4
MAX_FRAME = 1 << 30
_encode = json.JSONEncoder(separators=(",", ":")).encode


class FrameProtocol(asyncio.Protocol):
    """Calls `on_frame` with every message that arrives and `on_lost` when the other end is gone."""

    def __init__(self, on_frame: Callable[[Any], None], on_lost: Callable[[], None]) -> None:
        self._on_frame = on_frame
        self._on_lost = on_lost
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._on_lost()

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        start = 0
        while len(buffer) - start >= HEADER:
            length = int.from_bytes(buffer[start : start + HEADER], "big")
            end = start + HEADER + length
            if len(buffer) < end:
                break
            message = json.loads(buffer[start + HEADER : end])
            start = end
            self._on_frame(message)
        del buffer[:start]

    def send(self, message: Any) -> bool:
        """Sends a message; False when the connection is gone. ValueError: it is too long."""
        body = _encode(message).encode("ascii")
        if len(body) >= MAX_FRAME:
            raise ValueError(f"a message of {len(body)} bytes is too long for the worker")
        if self._transport is None:
            return False
        self._transport.write(len(body).to_bytes(HEADER, "big") + body)
        return True

    def close(self) -> None:
        """Ends the connection once everything sent has left."""
        if self._transport is not None:
            self._transport.close()
