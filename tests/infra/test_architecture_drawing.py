"""The drawing of the architecture agrees with the templates."""

from __future__ import annotations

import importlib.util
import xml.etree.ElementTree as ElementTree
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_committed_drawing_is_what_the_templates_give() -> None:
    spec = importlib.util.spec_from_file_location("draw_architecture", ROOT / "docs" / "draw_architecture.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    drawn = (ROOT / "docs" / "architecture.svg").read_text(encoding="utf-8")
    assert module.draw() == drawn, "draw it again: python docs/draw_architecture.py"
    ElementTree.fromstring(drawn)
    for words in ("10.0.0.4", "10.100.0.4", "deployed, stopped", "privatelink.queue.core.windows.net"):
        assert words in drawn
