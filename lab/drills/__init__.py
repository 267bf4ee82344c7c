"""One failure each, as values, and the list of them.

drill               what a drill is: work, gate, fault, recovery, verdict
unplanned_failover  planned_failover
staging             what the steps of recovery.drill's value mean on this machine
recovering          the same with doctor and journal
run                 the only code that executes one
scene               what a running drill knows
steps, checks       what drills are made of
workload            what clients ask for, and when
timeline            when the lost region's writes were made
ground_truth        what must become of each instance, from the writes that survived
outcome             what did become of it, from the promoted hub
region, client      a host as a real process; its clients
"""

from lab.drills.drill import Drill
from lab.drills.planned_failover import PLANNED_FAILOVER
from lab.drills.unplanned_failover import UNPLANNED_FAILOVER

DRILLS = (UNPLANNED_FAILOVER, PLANNED_FAILOVER)

__all__ = ["DRILLS", "Drill"]
