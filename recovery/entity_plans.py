"""How an entity's history is repaired: from its row, from what is left of it, or not at all when its state is lost."""

from __future__ import annotations

import uuid
from datetime import datetime

from recovery.observed import json_object
from recovery.proofs import lacks_row_text
from recovery.repair_steps import CutHistory, WriteHistory
from recovery.resend import Draft
from taskhub import messages as m
from taskhub.messages import Event


class EntityDraft(Draft):
    """The part of a plan that is for entities."""

    def _entity_history_lost(self) -> None:
        if lacks_row_text(self.f, "Input"):
            self._leave_entity()
            return
        row = self.f.row or {}
        execution = str(row.get("ExecutionId") or uuid.uuid4().hex)
        # Under its old time, so that events accepted since then still count as this run's.
        created = row.get("CreatedTime")
        began = created if isinstance(created, datetime) else self.f.now
        state = str(row.get("Input") or "")
        start = m.execution_started(began, self.f.id, execution, self.f.id, state, generation=None)
        self._write_entity(start, execution)

    def _write_entity(self, start: Event, execution: str) -> None:
        now = self.f.now
        events = (m.event(m.ORCHESTRATOR_STARTED, now), start, m.event(m.ORCHESTRATOR_COMPLETED, now))
        self.steps.append(WriteHistory(events, execution, 0))

    def _entity_history_damaged(self) -> None:
        whole = self.f.start_event is not None and not self.f.lost_texts
        stored = {} if lacks_row_text(self.f, "Input") else json_object((self.f.row or {}).get("Input"))
        if stored and not (whole and self.f.row_is != "newer"):
            self.repeats.append(f"what {self.f.id} was asked since its row was written, if it is asked again")
            self._entity_history_behind()
        elif whole:
            # Under another execution, so that rows of the old one are no part of it; all in one write.
            execution = uuid.uuid4().hex
            run = {"InstanceId": self.f.id, "ExecutionId": execution}
            self._write_entity({**(self.f.start_event or {}), "OrchestrationInstance": run}, execution)
        else:
            self._leave_entity()
        self.is_decided = True

    def _leave_entity(self) -> None:
        self.unresolved.append(
            "the entity's state is lost with its blob: put the blob back, or purge the entity, which then begins anew"
        )
        self.is_decided = True

    def _entity_history_behind(self) -> None:
        self.steps.append(CutHistory(0))
        self._entity_history_lost()
