"""The same seed asks for the same things in every run."""

from __future__ import annotations

from lab.drills.split_brain_plan import WORK_SECONDS, plan


def test_a_seed_always_asks_for_the_same() -> None:
    assert plan(30, 7) == plan(30, 7) != plan(30, 8)


def test_some_orders_are_in_flight_at_the_loss_and_some_clients_never_heard_of_it() -> None:
    made = plan(30, 7)
    before = [order for order in made.orders if order.at < 0]
    after = [order for order in made.orders if order.at >= 0]
    assert len(before) == 10 and all(order.asks_west for order in before)
    assert {order.asks_west for order in after} == {True, False}
    assert max(order.at for order in after) <= WORK_SECONDS
    assert len({delivery.sku for delivery in made.deliveries}) == 10
