"""The world outside survives both regions, and tells what happened in it and how often."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests

from lab.drills import mix
from lab.drills.outside import Outside, OutsideFailed, missing, twice


def happened(*keys: str) -> list[dict[str, str]]:
    return [{"key": key} for key in keys]


def test_an_effect_under_one_key_may_happen_once() -> None:
    world = {"charges": happened("a/payment", "b/payment"), "messages": happened("a/mail", "b/mail", "a/mail")}
    assert twice(world) == ["messages a/mail"]


def test_a_completed_order_has_all_its_effects() -> None:
    world = {"charges": happened("a/payment"), "shipments": happened("a/shipping"), "messages": happened("a/mail")}
    assert missing(world, ["a"]) == []
    assert missing(world, ["a", "b"]) == ["charges b", "shipments b", "messages b"]


async def test_it_knows_the_products_of_the_drill_and_the_source_of_every_etl(tmp_path: Path) -> None:
    outside = Outside(tmp_path, ["drill-0001"])
    try:
        await outside.start()
        base = outside.settings["INVENTORY_URL"]
        assert requests.get(f"{base}/products/drill-0001", timeout=10).json() == {"on_hand": mix.ON_HAND}
        assert (await outside.world())["charges"] == []
    finally:
        outside.close()
    assert Path(outside.settings["BLOB_DIRECTORY"], mix.SOURCE).read_text() == mix.ROWS
    with pytest.raises(OutsideFailed, match="does not answer"):
        await outside.world()
