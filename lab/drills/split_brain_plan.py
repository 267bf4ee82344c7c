"""What clients order and which messages come while two regions are up: drawn from the seed, the same in every run."""

from __future__ import annotations

import random
from dataclasses import dataclass

WORK_SECONDS = 8.0


@dataclass(frozen=True)
class Order:
    """What a client orders, when, and which region it asks first."""

    instance_id: str
    at: float  # seconds after West Europe is back; negative: before its loss
    quantity: int
    asks_west: bool


@dataclass(frozen=True)
class Delivery:
    """A message of the app's queue."""

    sku: str
    at: float
    quantity: int


@dataclass(frozen=True)
class Plan:
    """The same for every run of one seed."""

    orders: tuple[Order, ...]
    deliveries: tuple[Delivery, ...]


def plan(orders: int, seed: int) -> Plan:
    """A third of the orders before the loss, the rest after it; one client in three has not heard of it."""
    chance = random.Random(f"split brain {seed}")
    before = max(1, orders // 3)
    made = []
    for number in range(orders):
        at = -1.0 if number < before else round(WORK_SECONDS * chance.random(), 2)
        made.append(Order(f"order-{number + 1:03d}", at, chance.randint(1, 5), at < 0 or chance.random() < 1 / 3))
    deliveries = [
        Delivery(f"box-{number + 1}", round(WORK_SECONDS * chance.random(), 2), chance.randint(1, 9))
        for number in range(max(2, orders // 3))
    ]
    return Plan(tuple(made), tuple(deliveries))
