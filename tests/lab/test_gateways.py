"""The fake services: once per key, failing as told, remembering over a restart."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from lab import gateways
from tests.workflows.conftest import Outside

CHARGE = {"key": "A", "amount": 5, "currency": "EUR", "card": "tok_visa"}


@pytest.fixture
def outside() -> Iterator[Outside]:
    served = Outside()
    yield served
    served.close()


def post(outside: Outside, path: str, data: Any, key: str = "k") -> requests.Response:
    return requests.post(f"{outside.base}{path}", json=data, headers={"Idempotency-Key": key}, timeout=5)


def test_one_key_is_one_charge_and_another_key_another(outside: Outside) -> None:
    answers = [post(outside, "/payment/payments", CHARGE, key).json() for key in ("k", "k", "l")]
    assert answers[0] == answers[1] != answers[2] and outside.sums() == {"charges": 2}


def test_without_a_key_every_request_is_a_charge(outside: Outside) -> None:
    for _ in range(2):
        post(outside, "/payment/payments", CHARGE, "")
    assert outside.sums() == {"charges": 2}


def test_a_fault_once_hits_one_request_and_does_no_work(outside: Outside) -> None:
    requests.put(f"{outside.base}/faults/payment", json={"mode": "once"}, timeout=5)
    assert [post(outside, "/payment/payments", CHARGE).status_code for _ in range(2)] == [503, 201]
    assert outside.sums() == {"charges": 1}


def test_a_fault_always_lasts_until_it_is_taken_away(outside: Outside) -> None:
    requests.put(f"{outside.base}/faults/shipping", json={"mode": "always", "status": 500}, timeout=5)
    parcel = {"key": "A", "to": "kim@example.com"}
    assert [post(outside, "/shipping/shipments", parcel).status_code for _ in range(3)] == [500] * 3
    requests.delete(f"{outside.base}/faults", timeout=5)
    assert post(outside, "/shipping/shipments", parcel).json() == {"tracking_number": "TRACK-000001"}


def test_a_fault_after_does_the_work_and_loses_the_answer(outside: Outside) -> None:
    requests.put(f"{outside.base}/faults/payment", json={"mode": "after"}, timeout=5)
    assert post(outside, "/payment/payments", CHARGE).status_code == 504
    assert outside.sums() == {"charges": 1}
    assert post(outside, "/payment/payments", CHARGE).json() == {"charge_id": "ch_1"}


def test_a_fault_nobody_knows_is_refused_with_the_choices(outside: Outside) -> None:
    for service, mode in (("weather", "once"), ("payment", "sometimes")):
        answer = requests.put(f"{outside.base}/faults/{service}", json={"mode": mode}, timeout=5)
        assert answer.status_code == 400 and "once" in answer.text


def test_a_cancelled_key_is_refunded_and_charged_no_more(outside: Outside) -> None:
    post(outside, "/payment/payments", CHARGE)
    assert post(outside, "/payment/payments/cancel", {"key": "A"}).json() == {"refunded": 5}
    assert post(outside, "/payment/payments", CHARGE, "late").status_code == 409


def test_a_product_is_known_after_it_was_put(outside: Outside) -> None:
    url = f"{outside.base}/inventory/products/tea"
    assert requests.get(url, timeout=5).status_code == 404
    requests.put(url, json={"on_hand": 3}, timeout=5)
    assert requests.get(url, timeout=5).json() == {"on_hand": 3}
    assert requests.put(url, json={"on_hand": "3"}, timeout=5).status_code == 400


def test_the_whole_world_can_be_read(outside: Outside) -> None:
    post(outside, "/notification/messages", {"key": "A", "to": "kim@example.com"})
    world = requests.get(f"{outside.base}/world", timeout=5).json()
    assert len(world["messages"]) == 1 and world["requests"] == 1


def test_the_state_survives_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "world.json"
    first = gateways.World(file)
    first.once("k", CHARGE, first.charge)
    second = gateways.World(file)
    assert second.once("k", CHARGE, second.charge) == (201, {"charge_id": "ch_1"})
    assert json.loads(file.read_text())["answers"]["k"][0] == 201
