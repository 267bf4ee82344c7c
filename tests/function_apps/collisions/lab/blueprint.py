"""The app's own package `lab`, without an __init__ of its own."""

import azure.durable_functions as df

blueprint = df.Blueprint()


@blueprint.activity_trigger(input_name="name")
def shout(name: str) -> str:
    return name.upper()
