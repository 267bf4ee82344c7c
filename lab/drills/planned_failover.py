"""West Europe is left on purpose: its host stops first, and the account waits until everything is copied."""

from lab.drills import checks
from lab.drills.staging import stage
from recovery import drill

PLANNED_FAILOVER = stage(
    drill.PLANNED_FAILOVER,
    verdict=(
        checks.every_request_has_its_verdict,
        checks.nothing_is_lost,
        checks.results_are_right,
        checks.effects_happened_once,
    ),
)
