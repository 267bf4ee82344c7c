"""Functions are found by trigger and by their registered names, in any letters."""

from __future__ import annotations

from lab.function_index import FunctionIndex, client_input
from lab.worker import FunctionInfo


def function(name: str, trigger: str, registered_name: str = "", *more: dict[str, object]) -> FunctionInfo:
    return FunctionInfo(name, trigger, [{"name": "x", "type": trigger}, *more], registered_name)


INDEX = FunctionIndex([
    function("start", "httpTrigger", "", {"name": "client", "type": "durableClient"}),
    function("order", "orchestrationTrigger", "order"),
    function("renamed_function", "orchestrationTrigger", "Renamed"),
    function("charge", "activityTrigger", "charge"),
    function("weigh_parcel", "activityTrigger", "Weigh"),
    function("counter_entity", "entityTrigger", "Counter"),
    function("meter", "eventHubTrigger"),
    function("orders", "serviceBusTrigger"),
])  # fmt: skip


def test_durable_functions_are_found_by_registered_name_in_any_letters() -> None:
    assert INDEX.orchestrator("ORDER") is INDEX.functions[1]
    assert INDEX.orchestrator("renamed") is INDEX.functions[2]
    assert INDEX.activity("weigh") is INDEX.functions[4]
    assert INDEX.entity("counter") is INDEX.functions[5]


def test_a_renamed_functions_own_name_is_unknown_as_recorded() -> None:
    assert INDEX.orchestrator("renamed_function") is None
    assert INDEX.activity("weigh_parcel") is None


def test_each_trigger_has_its_own_names() -> None:
    assert INDEX.orchestrator("charge") is None and INDEX.activity("order") is None


def test_triggers_not_run_here_are_listed() -> None:
    assert [info.name for info in INDEX.not_run] == ["meter", "orders"]


def test_an_unknown_name_gets_the_extensions_text_with_those_known() -> None:
    assert INDEX.no_orchestrator("nope") == (
        "The function 'nope' doesn't exist, is disabled, or is not an orchestrator function. Additional info: "
        "The following are the known orchestrator functions: 'order', 'Renamed'."
    )
    assert "is not an entity function" in INDEX.no_entity("x") and "'Counter'." in INDEX.no_entity("x")
    assert (
        FunctionIndex([])
        .no_activity("x")
        .endswith("is not an activity function. Additional info: No activity functions are currently registered!")
    )


def test_a_functions_client_binding_is_found() -> None:
    assert client_input(INDEX.functions[0]) == {"name": "client", "type": "durableClient"}
    assert client_input(INDEX.functions[1]) is None
