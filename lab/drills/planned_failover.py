"""West Europe is left on purpose: its host stops first, and the account waits until everything is copied."""

from lab.drills import checks, steps
from lab.drills.drill import Drill

PLANNED_FAILOVER = Drill(
    name="planned failover",
    question="Can we leave West Europe without losing anything?",
    planned=True,
    work=(steps.start_west_europe, steps.do_the_work),
    gate=(steps.settle_earlier_work,),
    fault=(steps.stop_west_europe,),
    recovery=(
        steps.fail_the_account_over,
        steps.start_north_europe,
        steps.let_north_europe_catch_up,
        steps.raise_the_events,
        steps.wait_for_the_rest,
    ),
    verdict=(checks.every_request_has_its_verdict, checks.nothing_is_lost, checks.results_are_right),
)
