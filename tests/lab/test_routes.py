"""Route templates match as in ASP.NET: constraints, defaults, optional and catch-all parameters, the specific first."""

from __future__ import annotations

import pytest

from lab.errors import AppError
from lab.routes import RouteTable, parse


def match(template: str, path: str) -> dict[str, str] | None:
    return parse(template).match(path.split("/") if path else [])


@pytest.mark.parametrize(
    ("template", "path", "values"),
    [
        ("a/b", "a/b", {}), ("a/b", "A/B", {}), ("a/b", "a", None), ("a/b", "a/b/c", None),
        ("a/{x}", "a/Some Value", {"x": "Some Value"}), ("a/{x}", "a", None), ("a/{x?}", "a", {}),
        ("a/{x?}", "a/1", {"x": "1"}), ("a/{x=5}", "a", {"x": "5"}), ("a/{x=5}", "a/6", {"x": "6"}),
        ("a/{*rest}", "a/b/c", {"rest": "b/c"}), ("a/{*rest}", "a", {}), ("{**all}", "x/y", {"all": "x/y"}),
        ("{x}-{y}.json", "a-b.json", {"x": "a", "y": "b"}), ("{x}-{y}.json", "a.json", None),
        ("a/{x:int}", "a/12", {"x": "12"}), ("a/{x:int}", "a/1b", None), ("a/{x:int?}", "a", {}),
        ("a/{x:int=3}", "a", {"x": "3"}), ("a/{x:int}", "a/99999999999", None),
        ("a/{x:long}", "a/99999999999", {"x": "99999999999"}),
        ("a/{x:guid}", "a/6F9619FF-8B86-D011-B42D-00CF4FC964FF", {"x": "6F9619FF-8B86-D011-B42D-00CF4FC964FF"}),
        ("a/{x:guid}", "a/6f96", None), ("a/{x:alpha}", "a/abC", {"x": "abC"}), ("a/{x:alpha}", "a/a1", None),
        ("a/{x:bool}", "a/True", {"x": "True"}), ("a/{x:bool}", "a/yes", None),
        ("a/{x:decimal}", "a/1.5", {"x": "1.5"}),
        ("a/{x:datetime}", "a/2024-05-01", {"x": "2024-05-01"}), ("a/{x:datetime}", "a/soon", None),
        ("a/{x:length(2,3)}", "a/ab", {"x": "ab"}), ("a/{x:length(2)}", "a/abc", None),
        ("a/{x:minlength(2)}", "a/a", None), ("a/{x:maxlength(2)}", "a/abc", None),
        ("a/{x:min(5)}", "a/5", {"x": "5"}), ("a/{x:max(5)}", "a/6", None), ("a/{x:range(1,9)}", "a/10", None),
        ("a/{x:int:min(1)}", "a/0", None), ("a/{x:int:min(1)}", "a/2", {"x": "2"}),
        ("a/{x:regex(^b+$)}", "a/bbb", {"x": "bbb"}), ("a/{x:regex(^\\d{{3}}$)}", "a/123", {"x": "123"}),
        ("a/{x:regex(^\\d{{3}}$)}", "a/12", None),
        ("a/{x:required}", "a/b", {"x": "b"}), ("{{a}}/b", "{a}/b", {}), ("", "", {}),
    ],
)  # fmt: skip
def test_a_template_matches(template: str, path: str, values: dict[str, str] | None) -> None:
    assert match(template, path) == values


def test_the_most_specific_route_comes_first() -> None:
    routes = ["{*rest}", "items/{id}", "items/new", "items/{id:int}", "{kind}/new", "items/{id}.json"]
    table = RouteTable([(route, route) for route in routes])

    def first(path: str) -> str:
        return table.find(path)[0][0]

    assert first("/items/new") == "items/new"
    assert first("/items/5") == "items/{id:int}"
    assert first("/items/a.json") == "items/{id}.json"
    assert first("/items/x") == "items/{id}"
    assert first("/other/new") == "{kind}/new"
    assert first("/a/b/c") == "{*rest}"


def test_everything_that_fits_is_found_so_that_methods_can_decide() -> None:
    table = RouteTable([("items/{id:int}", 1), ("items/{id}", 2)])
    assert table.find("/items/5/") == [(1, {"id": "5"}), (2, {"id": "5"})]
    assert table.find("/nothing") == []


@pytest.mark.parametrize(
    ("template", "fault"),
    [
        ("a/{x", "without its }"), ("a/x}", "without its {"), ("a/{x:colour}", "a constraint 'colour'"),
        ("a/{x:min(b)}", "cannot be read"), ("{*all}/b", "goes on after"), ("a/{}", "cannot be read"),
    ],
)  # fmt: skip
def test_a_template_that_makes_no_sense_is_told(template: str, fault: str) -> None:
    with pytest.raises(AppError, match="The route"):
        parse(template)
    with pytest.raises(AppError) as caught:
        parse(template)
    assert fault in str(caught.value)
