"""The deployed app: one object, one line per workflow; in a region that was failed away from, one that says so."""

import os

import azure.durable_functions as df
import azure.functions as func

from workflows import (
    device,
    elsewhere,
    eternal,
    etl,
    external_event,
    hello_cities,
    monitor,
    nightly,
    notifications,
    order,
    proposal_approval,
    region,
    report,
    starters,
    stock,
    tidying,
)

# Keys, unless the platform signs callers in before they reach the app (clientAuth: entra in infra).
app = df.DFApp(http_auth_level=func.AuthLevel[os.environ.get("HTTP_AUTH_LEVEL", "function").upper()])

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

# An app that comes back to find another region at work answers 503, and nothing else: see workflows.region.
for part in PARTS if region.permit_at_load().allowed else (elsewhere,):
    app.register_functions(part.blueprint)
