"""West Europe disappears in the middle of the work."""

from lab.drills import checks, steps
from lab.drills.drill import Drill

UNPLANNED_FAILOVER = Drill(
    name="unplanned failover",
    question="What do we lose, and for how long, if West Europe disappears now?",
    planned=False,
    work=(steps.start_west_europe, steps.do_the_work),
    gate=(steps.settle_earlier_work,),
    fault=(steps.lose_west_europe,),
    recovery=(
        steps.fail_the_account_over,
        steps.start_north_europe,
        steps.let_north_europe_catch_up,
        steps.raise_the_events,
        steps.wait_for_the_rest,
    ),
    verdict=(checks.every_request_has_its_verdict, checks.nothing_is_lost_without_lag, checks.results_are_right),
)
