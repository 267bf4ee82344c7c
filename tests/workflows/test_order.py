"""The order: its ways to end, and what the world looks like after each, however often its activities ran."""

import json
from typing import Any

import pytest

from tests.workflows.conftest import Outside
from tests.workflows.driver import World
from workflows import order, settings
from workflows.responses import InvalidInput

ORDER = {"customer": "kim@example.com", "card": "tok_visa", "lines": [{"sku": "tea", "quantity": 2, "unit_price": 450}]}


def run(world: World, **changes: Any) -> dict[str, Any]:
    world.entity("@stock@tea", "set", json.dumps({"quantity": 10}))
    instance = world.run("order", order.check({**ORDER, **changes}), instance_id="A-100")
    assert instance.status == "Completed", instance.output
    return instance.output


@pytest.fixture
def products(outside: Outside) -> Outside:
    for sku in ("tea", "cup"):
        outside.world.state["products"][sku] = {"on_hand": 5}
    return outside


def test_an_order_is_charged_shipped_and_told_once(world: World, products: Outside) -> None:
    output = run(world)
    assert (output["status"], output["tracking_number"], output["total"]) == ("completed", "TRACK-000001", 900)
    assert products.sums() == {"charges": 1, "shipments": 1, "messages": 1}
    assert world.state("stock", "tea")["on_hand"] == 8 and not world.state("stock", "tea")["reservations"]


def test_the_status_names_every_step(products: Outside) -> None:
    world = World()
    run(world)
    steps = [status["step"] for status in world.instances["A-100"].statuses if status]
    assert steps == ["reserving stock", "taking payment", "scheduling shipping", "telling the customer", "done"]


def test_too_little_stock_rejects_the_order_and_charges_nothing(world: World, products: Outside) -> None:
    output = run(world, lines=[{"sku": "tea", "quantity": 11, "unit_price": 1}])
    assert output["status"] == "rejected" and "11 wanted, 10 available" in output["reason"]
    assert products.sums() == {}


def test_a_line_that_cannot_be_had_releases_the_others(world: World, products: Outside) -> None:
    lines = [{"sku": "tea", "quantity": 1, "unit_price": 1}, {"sku": "cup", "quantity": 6, "unit_price": 1}]
    assert run(world, lines=lines)["status"] == "rejected"
    assert world.state("stock", "tea")["reservations"] == {} and world.state("stock", "tea")["on_hand"] == 10


def test_a_product_the_supplier_does_not_know_rejects_the_order(world: World, products: Outside) -> None:
    output = run(world, lines=[{"sku": "gold", "quantity": 1, "unit_price": 1}])
    assert output["reason"] == "gold: the supplier does not know it"


def test_a_declined_card_is_not_tried_again_and_releases_the_stock(products: Outside) -> None:
    world = World()
    output = run(world, card="tok_declined")
    assert (output["status"], output["reason"]) == ("payment_failed", "the card was declined")
    assert world.calls["take_payment"] == 1 and world.calls["cancel_payment"] == 0
    assert world.state("stock", "tea")["reservations"] == {} and products.sums() == {"messages": 1}


def test_a_payment_service_that_is_down_for_a_moment_is_tried_again(world: World, products: Outside) -> None:
    products.fail("payment", "once")
    assert run(world)["status"] == "completed"
    assert products.sums()["charges"] == 1


def test_a_payment_whose_answer_was_lost_is_not_taken_twice(world: World, products: Outside) -> None:
    products.fail("payment", "after")
    assert run(world)["status"] == "completed"
    assert products.sums()["charges"] == 1


def test_a_payment_that_stays_unknown_is_refunded_and_the_stock_released(products: Outside) -> None:
    world = World()
    products.fail("payment", "after", times=6)
    output = run(world)
    assert output["status"] == "payment_failed" and output["needs_attention"] == []
    assert products.sums() == {"charges": 1, "refunds": 1, "messages": 1}
    assert world.state("stock", "tea")["on_hand"] == 10 and not world.state("stock", "tea")["reservations"]


def test_a_refused_shipment_refunds_releases_and_tells_the_customer(world: World, products: Outside) -> None:
    output = run(world, customer="nowhere@example.com")
    assert (output["status"], output["reason"]) == ("shipping_failed", "the address is unknown")
    assert products.sums() == {"charges": 1, "refunds": 1, "messages": 1}
    assert world.state("stock", "tea")["on_hand"] == 10


def test_a_shipment_that_stays_unknown_is_cancelled_before_the_refund(products: Outside) -> None:
    world = World()
    products.fail("shipping", "after", times=6)
    assert run(world)["status"] == "shipping_failed"
    assert products.sums() == {"charges": 1, "refunds": 1, "shipments": 1, "cancelled_shipments": 1, "messages": 1}
    calls = list(dict.fromkeys(name for name, _ in world.log))
    assert calls.index("cancel_shipment") < calls.index("cancel_payment")


def test_a_refund_that_cannot_be_made_asks_for_a_person(products: Outside) -> None:
    world = World()
    products.fail("payment", "always", times=0)
    output = run(world)
    assert output["status"] == "payment_failed"
    assert output["needs_attention"][0].startswith("cancel_payment: Unavailable")
    assert world.calls["cancel_payment"] == 30


def test_an_e_mail_that_cannot_be_sent_does_not_undo_the_order(products: Outside) -> None:
    world = World()
    products.fail("notification", "always", times=0)
    output = run(world)
    assert (output["status"], output["customer_told"]) == ("completed", False)


def test_without_a_payment_address_the_order_says_which_setting_is_missing(
    world: World, products: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PAYMENT_URL")
    output = run(world)
    assert output["status"] == "payment_failed" and "PAYMENT_URL is not set" in output["reason"]
    with pytest.raises(settings.SettingMissing):
        settings.required("PAYMENT_URL", "where charges are made")


def test_a_charge_that_arrives_after_its_refund_is_refused(products: Outside) -> None:
    world = World()
    charge = {"key": "A-1/payment", "amount": 1, "currency": "EUR", "card": "tok_visa"}
    assert world.activity("cancel_payment", {"key": "A-1/payment"})["outcome"] == "done"
    assert world.activity("take_payment", charge)["reason"] == "this payment was cancelled"
    assert products.sums() == {}


@pytest.mark.parametrize(
    "change, field",
    [
        ({"customer": "kim"}, "customer"),
        ({"card": None}, "card"),
        ({"lines": []}, "lines"),
        ({"lines": [{"sku": "a/b", "quantity": 1, "unit_price": 1}]}, "lines[0].sku"),
        ({"lines": [{"sku": "tea", "quantity": 0, "unit_price": 1}]}, "lines[0].quantity"),
        ({"lines": [{"sku": "tea", "quantity": True, "unit_price": 1}]}, "lines[0].quantity"),
        ({"lines": [{"sku": "tea", "quantity": 1, "unit_price": 1.5}]}, "lines[0].unit_price"),
        ({"coupon": "X"}, "coupon"),
    ],
)
def test_an_order_with_something_wrong_is_refused_by_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        order.check({**ORDER, **change})
    assert [problem.field for problem in refused.value.problems] == [field]


def test_all_problems_of_an_order_are_told_at_once() -> None:
    with pytest.raises(InvalidInput) as refused:
        order.check({})
    assert {problem.field for problem in refused.value.problems} == {"customer", "card", "lines"}


def test_lines_of_one_product_are_added_up() -> None:
    line = {"sku": "tea", "quantity": 2, "unit_price": 450}
    assert order.check({**ORDER, "lines": [line, line]})["lines"] == [{**line, "quantity": 4}]
