"""All that an app registers which is fenced off when it is loaded: 503, with the address of the region that works."""

import logging

import azure.functions as func

from workflows import region, responses
from workflows.responses import HubUnavailable

blueprint = region.Blueprint()

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
LOADED_ANEW = "This region may work again. The host is asked to stop, so that the app is loaded with all its functions."


# Of two routes that match, Azure takes the function that comes first in the alphabet: `health` before `other_region`.
@blueprint.route(route="health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def health(req: func.HttpRequest) -> func.HttpResponse:
    """What a load balancer asks: not here."""
    return await _not_here()


@blueprint.route(route="{*path}", methods=METHODS)
async def other_region(req: func.HttpRequest) -> func.HttpResponse:
    """Every other address of the app."""
    return await _not_here()


async def _not_here() -> func.HttpResponse:
    found = await region.ask()
    if found.allowed:
        region.have_host_stopped(LOADED_ANEW)
        return responses.refusal(HubUnavailable("This region is about to work; send it again."))
    logging.info("Answered 503: %s", found.reason)
    return responses.refusal(HubUnavailable(found.reason, address=found.address))
