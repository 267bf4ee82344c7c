"""One failure each, as values, and the list of them.

drill               what a drill is: work, gate, fault, recovery, verdict
unplanned_failover  planned_failover
staging             what the steps of recovery.drill's value mean on this machine
recovering          what doctor and journal do in between, and the drill without one of them
run                 the only code that executes one
scene               what a running drill knows
steps, checks       what drills are made of
workload, mix       what clients ask for, and when; their errands with each workflow
timeline            when the lost region's writes were made
arrivals            the steps that only look, at what arrived and at what became of it
ground_truth        what must become of each instance, from the writes that survived
foretold            the same from the doctor's rules, where the writes alone do not decide
repeats             which activities ran a second time
outcome             what did become of each instance, from the promoted hub
region, client      a host as a real process; its clients
outside             the services and blobs beyond both regions
split_brain         another drill: two regions at work on one account
command, arguments  the command line of both
"""

from lab.drills.drill import Drill
from lab.drills.planned_failover import PLANNED_FAILOVER
from lab.drills.unplanned_failover import UNPLANNED_FAILOVER

DRILLS = (UNPLANNED_FAILOVER, PLANNED_FAILOVER)

__all__ = ["DRILLS", "Drill"]
