"""The drawing of the architecture agrees with the templates."""

from __future__ import annotations

import runpy
import xml.etree.ElementTree as ElementTree
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_committed_drawing_is_what_the_templates_give() -> None:
    draw = runpy.run_path(str(ROOT / "docs" / "draw_architecture.py"))["draw"]
    drawn = (ROOT / "docs" / "architecture.svg").read_text(encoding="utf-8")
    assert draw() == drawn, "draw it again: python docs/draw_architecture.py"
    ElementTree.fromstring(drawn)
    for words in ("10.0.0.4", "10.100.0.4", "deployed, stopped", "privatelink.queue.core.windows.net"):
        assert words in drawn
