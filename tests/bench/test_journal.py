"""The bench counts bytes as the table service charges them, and writes as the journal made them."""

from datetime import datetime, timezone

from bench.journal import Way, entity_bytes, speed
from recovery.journal import Journal
from recovery.records import DirectoryRecords


def test_an_entity_is_charged_its_keys_its_names_and_its_values():
    keys = {"PartitionKey": "ab", "RowKey": ""}
    assert entity_bytes(keys) == 4 + 4
    assert entity_bytes({**keys, "Name": "tea"}) == 8 + 8 + 8 + 10
    assert entity_bytes({**keys, "N": 1}) == 8 + 8 + 2 + 4
    assert entity_bytes({**keys, "T": datetime(2026, 1, 1, tzinfo=timezone.utc)}) == 8 + 8 + 2 + 8
    assert entity_bytes({**keys, "B": True}) == 8 + 8 + 2 + 1


def test_a_way_tells_its_median_and_its_slow_end():
    way = Way("off", "", [float(n) for n in range(100)])
    assert (way.median, way.slow) == (49.5, 95.0)


async def test_a_request_is_one_write_and_a_process_two_more(tmp_path):
    records = DirectoryRecords(tmp_path)
    journal = Journal(records, task_hub="Shop")
    for number in range(10):
        await journal.accept_start(f"order-{number}", "order", number)
    assert sum(1 for _ in records.names()) == 12


async def test_doctor_and_reconciler_are_measured_on_hubs_of_two_sizes():
    lines = await speed((20, 40))
    assert [line.split()[0] for line in lines[2:]] == ["20", "40", "each,"]
