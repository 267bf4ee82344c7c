"""A durable client gets the JSON that the SDK reads, and links as the extension writes them."""

from __future__ import annotations

import json

import pytest
from azure.durable_functions.models.DurableOrchestrationBindings import DurableOrchestrationBindings

from lab.client_binding import LinkMaker, escape_id

HOOK = "http://localhost:7071/runtime/webhooks/durabletask"
RPC = "http://127.0.0.1:7071/durabletask/"


def test_the_sdk_reads_the_binding() -> None:
    read = DurableOrchestrationBindings.from_json(LinkMaker("http://localhost:7071", "Hub", key="K").binding(RPC))
    assert (read.task_hub_name, read.rpc_base_url) == ("Hub", RPC)
    status = f"{HOOK}/instances/INSTANCEID?taskHub=Hub&connection=Storage&code=K"
    assert read.management_urls["statusQueryGetUri"] == status
    assert read.management_urls["id"] == "INSTANCEID"
    create = f"{HOOK}/orchestrators/{{functionName}}[/{{instanceId}}]"
    assert read.creation_urls["createNewInstancePostUri"] == f"{create}?code=K"


def test_without_keys_there_is_no_code_anywhere() -> None:
    text = LinkMaker("http://localhost:7071", "Hub").binding(RPC)
    assert "code" not in text.replace('"requiredQueryStringParameters": ""', "")
    assert json.loads(text)["baseUrl"] == HOOK


def test_a_binding_may_name_another_hub_and_connection() -> None:
    binding = json.loads(LinkMaker("http://h", "Hub").binding(RPC, "Other", "Elsewhere"))
    assert binding["taskHubName"] == "Other"
    assert binding["managementUrls"]["restartPostUri"].endswith("/restart?taskHub=Other&connection=Elsewhere")


def test_the_links_of_the_webhook_have_no_rewind() -> None:
    links = LinkMaker("http://h", "Hub").of_instance("a b")
    assert list(links) == [
        "id", "statusQueryGetUri", "sendEventPostUri", "terminatePostUri", "purgeHistoryDeleteUri", "restartPostUri",
        "suspendPostUri", "resumePostUri",
    ]  # fmt: skip
    assert links["id"] == "a b"
    assert links["terminatePostUri"] == (
        "http://h/runtime/webhooks/durabletask/instances/a+b/terminate?reason={text}&taskHub=Hub&connection=Storage"
    )


@pytest.mark.parametrize(
    ("instance_id", "escaped"),
    [
        ("a b+c%", "a+b%2Bc%25"), ("a%2F", "a%252F"), ("Zürich-雪", "Z%C3%BCrich-%E9%9B%AA"),
        ("a'b:c;d=e", "a%27b%3Ac%3Bd%3De"), ("a&b(c)[d]", "a%26b(c)%5Bd%5D"), ("-_.!*()", "-_.!*()"), ("~", "%7E"),
    ],
)  # fmt: skip
def test_ids_in_links_are_escaped_as_recorded(instance_id: str, escaped: str) -> None:
    assert escape_id(instance_id) == escaped
