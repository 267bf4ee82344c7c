"""What the HTML reports share: one self-contained page in one style, and tables on it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#1c2b33;background:#fff}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}
table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:.35rem .6rem;
border-bottom:1px solid #dde5ea}code{font-size:.85em}
.kind{color:#fff;border-radius:.6rem;padding:.05rem .55rem;white-space:nowrap}
.bar{display:flex;height:1.4rem;border-radius:.4rem;overflow:hidden}.bar i{display:block}
ul{margin:.2rem 0;padding-left:1.1rem}.muted{color:#5d7280}
"""
UNKNOWN = "#5d7280"


def page(title: str, body: str) -> str:
    """A page of one's own: nothing is loaded from elsewhere. `body` is HTML, `title` is text."""
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style><body>{body}</body></html>\n"
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of cells that are HTML already."""
    cells = "".join(f"<th>{name}</th>" for name in head)
    lines = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{lines}</tbody></table>"


def badge(text: str, colour: str = UNKNOWN) -> str:
    """A word on a coloured ground."""
    return f'<span class="kind" style="background:{colour}">{escape(text)}</span>'


def bar(label: str, parts: Sequence[tuple[str, int, str]]) -> str:
    """One bar of (name, count, colour), as wide as the counts are large."""
    total = max(sum(count for _, count, _ in parts), 1)
    pieces = "".join(
        f'<i style="width:{100 * count / total:.2f}%;background:{colour}" title="{escape(name)}"></i>'
        for name, count, colour in parts
        if count
    )
    return f'<div class="bar" role="img" aria-label="{escape(label)}">{pieces}</div>'
