"""The workflow of the failover test: wait for the event named `event`, return the data it brought.

GET or POST /api/orchestrators/external_event[?id=my-id]   any JSON as input, or none
POST /api/SendExternalEvent   {"instanceId": "my-id", "data": "2026-01-31T12:00:00Z"}

The status says what is waited for; the output is the event's data, whatever JSON it is.
"""

import logging
from typing import Any

import azure.durable_functions as df

from workflows import region
from workflows.orchestration import Steps, event_data

blueprint = region.Blueprint()

EVENT_NAME = "event"


def check(data: Any) -> Any:
    """Any JSON is welcome; it is kept as the instance's input and changes nothing."""
    return data


@blueprint.orchestration_trigger(context_name="context")
def external_event(context: df.DurableOrchestrationContext) -> Steps:
    """Waits once and returns what came."""
    context.set_custom_status({"waiting_for": EVENT_NAME})
    received = event_data((yield context.wait_for_external_event(EVENT_NAME)))
    if not context.is_replaying:
        logging.info("Instance %s received its event: %s", context.instance_id, received)
    context.set_custom_status({"received": EVENT_NAME})
    return received
