"""A plain and a durable blueprint."""

import azure.durable_functions as df
import azure.functions as func

plain_part = func.Blueprint()
durable_part = df.Blueprint()


@plain_part.route()
def without_anything(req: func.HttpRequest) -> str:
    return "found by its name"


@durable_part.entity_trigger(context_name="context")
def Meter(context):  # noqa: N802 - public apps name entities so
    context.set_result(context.operation_name)


@durable_part.activity_trigger(input_name="what", activity="with_client")
@durable_part.durable_client_input(client_name="client")
async def activity_with_client(client, what: str) -> str:
    return f"{type(client).__name__} {what}"
