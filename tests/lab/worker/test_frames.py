"""Messages arrive whole and in order, however the stream cuts them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.worker.inside import frames
from lab.worker.inside.frames import FrameProtocol


class Wire(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.is_closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def close(self) -> None:
        self.is_closed = True


def sender() -> tuple[FrameProtocol, Wire]:
    protocol, wire = FrameProtocol(lambda _: None, lambda: None), Wire()
    protocol.connection_made(wire)
    return protocol, wire


@given(
    st.lists(st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=5), max_size=6),
    st.lists(st.integers(1, 50)),
)
def test_messages_arrive_whole_and_in_order_however_they_are_cut(messages: list[Any], cuts: list[int]) -> None:
    protocol, wire = sender()
    for message in messages:
        assert protocol.send(message)
    arrived: list[Any] = []
    receiver = FrameProtocol(arrived.append, lambda: None)
    rest = wire.written
    for cut in [*cuts, len(rest)]:
        receiver.data_received(rest[:cut])
        rest = rest[cut:]
    receiver.data_received(rest)
    assert arrived == messages


def test_half_a_surrogate_pair_and_no_number_pass() -> None:
    protocol, wire = sender()
    protocol.send(["\ud800", float("inf")])
    arrived: list[Any] = []
    FrameProtocol(arrived.append, lambda: None).data_received(wire.written)
    assert arrived == [["\ud800", float("inf")]]


def test_a_lost_connection_is_told_and_takes_no_more() -> None:
    lost: list[bool] = []
    protocol = FrameProtocol(lambda _: None, lambda: lost.append(True))
    protocol.connection_made(Wire())
    protocol.connection_lost(None)
    assert lost == [True]
    assert protocol.send("x") is False


def test_a_message_that_is_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "MAX_FRAME", 10)
    with pytest.raises(ValueError, match="too long"):
        sender()[0].send("x" * 10)
