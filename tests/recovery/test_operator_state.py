"""What a killed command had begun."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

from recovery.operator_state import Begun, OperatorState

NOW = datetime(2026, 1, 2, 3, 0, tzinfo=timezone.utc)


def test_what_was_begun_is_there_again_after_a_kill(tmp_path: Path) -> None:
    state = OperatorState.load(tmp_path / "recovery.json")
    state.begun = Begun("failover", "standby", True, NOW.isoformat(), operation="https://op")
    state.save()
    again = OperatorState.load(tmp_path / "recovery.json")
    assert again.begun == state.begun


def test_a_save_that_was_interrupted_leaves_the_old_content(tmp_path: Path) -> None:
    state = OperatorState.load(tmp_path / "recovery.json")
    state.original_sku = "Standard_RAGRS"
    state.save()
    (tmp_path / "recovery.new").write_text('{"half')
    assert OperatorState.load(tmp_path / "recovery.json").original_sku == "Standard_RAGRS"


def test_what_was_shown_counts_for_half_an_hour_and_for_the_same_command(tmp_path: Path) -> None:
    state = OperatorState.load(tmp_path / "recovery.json")
    state.remember_shown("failover --planned", NOW)
    assert state.was_shown("failover --planned", NOW + timedelta(minutes=30))
    assert not state.was_shown("failover --planned", NOW + timedelta(minutes=31))
    assert not state.was_shown("failover --unplanned", NOW)


def test_an_ended_command_leaves_nothing_to_go_on_with_but_remembers_removed_rights(tmp_path: Path) -> None:
    state = OperatorState.load(tmp_path / "recovery.json")
    state.begun = Begun("failover", "standby", True, NOW.isoformat())
    state.removed_roles = [{"name": "a", "properties": {}}]
    state.end()
    again = OperatorState.load(tmp_path / "recovery.json")
    assert again.begun is None
    assert again.removed_roles == [{"name": "a", "properties": {}}]
