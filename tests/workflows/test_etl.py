"""The ETL: every row in good or bad, whatever runs again; a large file; uploads and downloads."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.workflows.driver import World
from tests.workflows.endpoints import call
from workflows import blobs, etl
from workflows.responses import InvalidInput

HEADER = "id,name,email,amount,country\n"
ROWS = HEADER + "1,Ada,ADA@x.org,10.50,gb\n2,Bo,bo,1,de\n1,Again,a@x.org,2,fr\n"


def upload(text: str, **small: Any) -> dict[str, Any]:
    blobs.container().put("incoming/a", text.encode())
    return etl.check({"blob": "incoming/a", **small})


def lines(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in blobs.container().get(name).decode().splitlines()]


def test_every_row_is_good_or_bad_with_its_line_and_reason(world: World, blob_directory: Path) -> None:
    output = world.run("etl", upload(ROWS), "E-1").output
    assert (output["status"], output["rows"], output["good"], output["bad"]) == ("loaded", 3, 1, 2)
    good = {"line": 2, "id": "1", "name": "Ada", "email": "ada@x.org", "cents": 1050, "country": "GB"}
    assert lines("etl/E-1/good.jsonl") == [good]
    assert output["reasons"] == [
        {"line": 3, "reason": "email 'bo' is not an address"},
        {"line": 4, "reason": "id '1' was on line 2 already"},
    ]


def test_only_the_two_results_and_the_source_are_left(world: World, blob_directory: Path) -> None:
    world.run("etl", upload(ROWS, rows_per_part=1), "E-1")
    left = sorted(str(p.relative_to(blob_directory)) for p in blob_directory.rglob("*") if p.is_file())
    assert left == ["etl/E-1/bad.jsonl", "etl/E-1/good.jsonl", "incoming/a"]


def test_a_file_cut_into_parts_gives_the_same_result_as_whole(blob_directory: Path) -> None:
    text = HEADER + "".join(f'{n},"N {n}\nx",n{n}@x.org,{n}.25,DE\n' for n in range(50))
    results = []
    for size in (1, 7, 50, 5000):
        World().run("etl", upload(text, rows_per_part=size), f"E-{size}")
        results.append(lines(f"etl/E-{size}/good.jsonl"))
    assert len(results[0]) == 50 and all(result == results[0] for result in results)


def test_at_most_four_parts_are_cleaned_at_once(blob_directory: Path) -> None:
    world = World()
    open_children: list[int] = []

    def clean(part: Any) -> Any:
        children = [i for i in world.instances.values() if i.name == "etl_part" and not i.finished]
        open_children.append(len(children))
        return etl.clean_part._function._func(part)

    world.replaced["clean_part"] = clean
    text = HEADER + "".join(f"{n},N,n{n}@x.org,1,DE\n" for n in range(12))
    assert world.run("etl", upload(text, rows_per_part=1), "E-1").output["good"] == 12
    assert max(open_children) == 4


def test_a_child_has_an_id_made_of_its_part(blob_directory: Path) -> None:
    world = World()
    world.run("etl", upload(ROWS, rows_per_part=2), "E-1")
    assert set(world.instances) == {"E-1", "E-1:part-0000", "E-1:part-0001"}


def test_storage_that_fails_for_a_moment_costs_an_attempt_and_no_row(blob_directory: Path) -> None:
    world = World()

    def flaky(part: Any) -> Any:
        if world.calls["clean_part"] in (1, 2, 4):
            raise OSError("storage is busy")
        return etl.clean_part._function._func(part)

    world.replaced["clean_part"] = flaky
    assert world.run("etl", upload(ROWS, rows_per_part=1), "E-1").output["rows"] == 3


def test_a_part_that_fails_for_good_is_named_after_the_others_are_done(blob_directory: Path) -> None:
    world = World()

    def broken(part: Any) -> Any:
        if part["number"] == 1:
            raise OSError("disk on fire")
        return etl.clean_part._function._func(part)

    world.replaced["clean_part"] = broken
    output = world.run("etl", upload(ROWS, rows_per_part=1), "E-1").output
    assert output["status"] == "failed" and "disk on fire" in output["failed_parts"][0]
    assert all(instance.finished for instance in world.instances.values())


def test_a_source_that_is_gone_fails_with_its_name(blob_directory: Path) -> None:
    instance = World().run("etl", etl.check({"blob": "incoming/none"}), "E-1")
    assert instance.status == "Failed" and "There is no blob 'incoming/none'" in instance.output


def test_a_copy_of_the_load_that_comes_late_does_not_replace_the_result(blob_directory: Path) -> None:
    world = World()
    output = world.run("etl", upload(ROWS, rows_per_part=1), "E-1").output
    late = next(data for name, data in world.log if name == "load_etl")
    before = [blobs.container().get(f"etl/E-1/{kind}.jsonl") for kind in ("good", "bad")]
    assert world.activity("load_etl", late) == output
    assert [blobs.container().get(f"etl/E-1/{kind}.jsonl") for kind in ("good", "bad")] == before


def test_a_load_whose_parts_and_result_are_gone_fails_with_the_part_s_name(blob_directory: Path) -> None:
    world = World()
    world.run("etl", upload(ROWS), "E-1")
    late = next(data for name, data in world.log if name == "load_etl")
    blobs.container().delete("etl/E-1/good.jsonl")
    with pytest.raises(blobs.BlobMissing):
        world.activity("load_etl", late)


def test_no_row_travels_through_the_history(blob_directory: Path) -> None:
    world = World()
    text = HEADER + "".join(f"{n},N{n},n{n}@x.org,1,DE\n" for n in range(2000))
    instance = world.run("etl", upload(text, rows_per_part=100), "E-1")
    assert "n1999@x.org" not in json.dumps(instance.history) and len(json.dumps(instance.history)) < 60_000


def test_100_000_rows_are_loaded(blob_directory: Path) -> None:
    text = HEADER + "".join(f"{n},Name {n},n{n}@example.com,{n % 90}.{n % 90:02d},DE\n" for n in range(100_000))
    output = World().run("etl", upload(text), "E-1").output
    assert (output["rows"], output["good"]) == (100_000, 100_000)


def test_an_upload_is_kept_and_started_once(blob_directory: Path) -> None:
    world = World()
    for _ in range(2):
        headers = {"Content-Type": "text/csv; charset=utf-8"}
        answer = call(world, "upload_etl", body=ROWS.encode(), params={"id": "E-1"}, headers=headers)
        assert answer.status == 202
    world.settle()
    assert world.calls["plan_etl"] == 1
    assert call(world, "get_etl_file", route={"id": "E-1", "file": "good.jsonl"}).body.count(b"\n") == 1


def test_json_lines_are_loaded_as_csv_is(blob_directory: Path) -> None:
    world = World()
    row = {"id": 7, "name": "Ada", "email": "a@x.org", "amount": 1.5, "country": "GB"}
    body = (json.dumps(row) + "\n[1]\n\nnope\n").encode()
    call(world, "upload_etl", body=body, params={"id": "E-1"}, headers={"Content-Type": "application/x-ndjson"})
    world.settle()
    output = world.instances["E-1"].output
    assert (output["good"], output["bad"], output["total_cents"]) == (1, 2, 150)
    assert [row["line"] for row in output["reasons"]] == [2, 4]


@pytest.mark.parametrize(
    "body, content_type, status",
    [
        (b"", "text/csv", 400),
        (b"id,name\n1,2\n", "text/csv", 400),
        (ROWS.encode(), "application/xml", 400),
        (ROWS.encode(), "", 400),
    ],
)
def test_an_upload_that_cannot_be_begun_is_refused(body: bytes, content_type: str, status: int) -> None:
    world = World()
    assert call(world, "upload_etl", body=body, headers={"Content-Type": content_type}).status == status
    assert not world.instances


def test_an_upload_over_the_limit_is_413(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(etl, "UPLOAD_LIMIT_BYTES", 10)
    assert call(World(), "upload_etl", body=ROWS.encode(), headers={"Content-Type": "text/csv"}).status == 413


@pytest.mark.parametrize("file", ["source", "good.jsonl", "../x"])
def test_a_file_that_is_not_there_is_404(blob_directory: Path, file: str) -> None:
    assert call(World(), "get_etl_file", route={"id": "E-1", "file": file}).status == 404


@pytest.mark.parametrize("data", [None, {}, {"blob": "../x"}, {"blob": "a", "format": "xml"}, {"blob": "a", "rows": 1}])
def test_a_source_that_cannot_be_named_is_refused(data: Any) -> None:
    with pytest.raises(InvalidInput):
        etl.check(data)
