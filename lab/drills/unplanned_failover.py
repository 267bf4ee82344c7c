"""West Europe disappears in the middle of the work."""

from lab.drills import checks
from lab.drills.staging import stage
from recovery import drill

UNPLANNED_FAILOVER = stage(
    drill.UNPLANNED_FAILOVER,
    verdict=(
        checks.every_request_has_its_verdict,
        checks.nothing_is_lost_without_lag,
        checks.results_are_right,
        checks.effects_happened_once,
    ),
)
