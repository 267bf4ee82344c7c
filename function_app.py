"""The deployed app: one object, one line per workflow."""

import azure.durable_functions as df
import azure.functions as func

from workflows import (
    device,
    eternal,
    etl,
    external_event,
    hello_cities,
    monitor,
    nightly,
    notifications,
    order,
    proposal_approval,
    report,
    starters,
    stock,
    tidying,
)

app = df.DFApp(http_auth_level=func.AuthLevel.FUNCTION)

PARTS = (
    starters,
    notifications,
    tidying,
    stock,
    external_event,
    hello_cities,
    order,
    proposal_approval,
    report,
    monitor,
    device,
    etl,
    nightly,
    eternal,
)

for part in PARTS:
    app.register_functions(part.blueprint)
