"""Paths and queries are read as Kestrel and ASP.NET read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.incoming import Incoming


def get(target: str, *headers: tuple[str, str]) -> Incoming:
    return Incoming("GET", "http", "h:1", target, list(headers), b"")


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/a%20b+c%25", "/a b+c%"), ("/a%2Fb%2fc", "/a%2Fb%2fc"), ("/Z%C3%BCrich", "/Zürich"), ("/a%FFb", "/a%FFb"),
        ("/a/x/../b", "/a/b"), ("/a/./b", "/a/b"), ("/../../a", "/a"), ("/a/..", "/"), ("/a?b=/c/../d", "/a"),
        ("/a/.hidden", "/a/.hidden"), ("/a//b", "/a//b"), ("/a%", "/a%"), ("/a/%2E%2E/b", "/b"),
    ],
)  # fmt: skip
def test_paths_are_unescaped_but_for_slashes_and_folded(target: str, path: str) -> None:
    assert get(target).path == path


@pytest.mark.parametrize(
    ("target", "url"),
    [
        ("/a%2Bb", "http://h:1/a+b"), ("/a%20b", "http://h:1/a%20b"), ("/a%3Ab'c%27", "http://h:1/a:b'c'"),
        ("/a%2Fb", "http://h:1/a%2Fb"), ("/Z%C3%BC?x=%2B&y", "http://h:1/Z%C3%BC?x=%2B&y"), ("/a%25", "http://h:1/a%25"),
    ],
)  # fmt: skip
def test_the_url_has_its_path_escaped_anew_and_its_query_as_sent(target: str, url: str) -> None:
    assert get(target).url == url


def test_repeated_parameters_are_joined_and_names_match_in_any_letters() -> None:
    request = get("/?a=1&A=2&b=&c=x+y%20z&d")
    assert request.query == {"a": "1,2", "b": "", "c": "x y z", "d": ""}
    assert (request.parameter("B"), request.parameter("C"), request.parameter("none")) == ("", "x y z", None)


def test_headers_match_in_any_letters() -> None:
    assert get("/", ("X-Functions-Key", "k")).header("x-functions-key") == "k"
    assert get("/").header("x") is None


@given(st.text(alphabet=st.characters(codec="ascii", exclude_characters=" \r\n#")))
def test_no_target_breaks_anything(target: str) -> None:
    request = get("/" + target)
    assert request.url.isascii() and request.path.startswith("/") and isinstance(request.query, dict)
