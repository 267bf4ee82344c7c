"""The entities: a counter that can do everything wrong, too, and a journal; and orchestrators that use them."""

import azure.durable_functions as df
from values import first_line

blueprint = df.Blueprint()


def add(context, value):
    value += context.get_input()
    context.set_state(value)
    context.set_result(value)


def fail(context, value):
    context.set_state(value + 100)
    raise ValueError("counter refuses")


def who(context, _):
    context.set_result(
        {
            "name": context.entity_name,
            "key": context.entity_key,
            "op": context.operation_name,
            "new": context.is_newly_constructed,
        }
    )


OPERATIONS = {
    "add": add,
    "get": lambda context, value: context.set_result(value),
    "set": lambda context, _: context.set_state(context.get_input()),
    "reset": lambda context, _: context.set_state(0),
    "clear": lambda context, _: context.set_state(None),
    "fail": fail,
    "delete": lambda context, _: context.destruct_on_exit(),
    "who": who,
    "quiet": lambda context, _: None,
    "bad_result": lambda context, _: context.set_result({1}),
    "bad_state": lambda context, _: context.set_state({1}),
}


@blueprint.entity_trigger(context_name="context")
def counter(context):
    name, value = context.operation_name, context.get_state(lambda: 0)
    if name in OPERATIONS:
        OPERATIONS[name](context, value)
    else:
        context.set_result(f"unknown operation {name}")


@blueprint.entity_trigger(context_name="context", entity_name="Journal")
def journal_entity(context):
    lines = context.get_state(lambda: [])
    if context.operation_name == "write":
        lines.append(context.get_input())
        context.set_state(lines)
    context.set_result(lines)


@blueprint.orchestration_trigger(context_name="context")
def use_entity(context):
    """Calls or signals an entity's operations, one after the other."""
    order, got = context.get_input(), []
    entity = df.EntityId(order.get("entity", "counter"), order["key"])
    for step in order["steps"]:
        if step.get("signal"):
            context.signal_entity(entity, step["op"], step.get("input"))
            got.append("signalled")
            continue
        try:
            got.append((yield context.call_entity(entity, step["op"], step.get("input"))))
        except Exception as error:
            got.append({"caught": first_line(error)})
    return got


@blueprint.orchestration_trigger(context_name="context")
def many_entities(context):
    counters = [df.EntityId("counter", key) for key in context.get_input()]
    return (yield context.task_all([context.call_entity(one, "add", n) for n, one in enumerate(counters, 1)]))
