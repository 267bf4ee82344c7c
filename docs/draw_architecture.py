"""Draws docs/architecture.svg from the templates: `python docs/draw_architecture.py`.

Regions, networks, endpoints, zones and states are read from the expanded templates, so the drawing cannot disagree.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from infra.checks.expansion import Resource, expand  # noqa: E402

TARGET = ROOT / "docs" / "architecture.svg"
WIDTH, HEIGHT = 1180, 700
INK, QUIET, WORKS, WAITS, STATE = "#1f2937", "#6b7280", "#dcfce7", "#f3f4f6", "#e0f2fe"


@dataclass
class Drawing:
    """Boxes, lines and words, in the order in which they are drawn."""

    parts: list[str] = field(default_factory=list)

    def box(self, x: int, y: int, width: int, height: int, fill: str, dashed: bool = False) -> None:
        dash = ' stroke-dasharray="6 4"' if dashed else ""
        self.parts.append(
            f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="8" fill="{fill}" stroke="{INK}"{dash}/>'
        )

    def words(self, x: int, y: int, text: str, size: int = 13, bold: bool = False, color: str = INK) -> None:
        weight = ' font-weight="600"' if bold else ""
        self.parts.append(f'<text x="{x}" y="{y}" font-size="{size}" fill="{color}"{weight}>{escape(text)}</text>')

    def arrow(self, x1: int, y1: int, x2: int, y2: int, dashed: bool = False) -> None:
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self.parts.append(
            f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{INK}" stroke-width="1.5"{dash} '
            'marker-end="url(#head)"/>'
        )

    def svg(self) -> str:
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
            'font-family="system-ui, sans-serif"><title>Two regions on one task hub</title>'
            '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
            f'orient="auto"><path d="M0 0L8 4L0 8z" fill="{INK}"/></marker></defs>'
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>'
        )
        return "\n".join([head, *self.parts, "</svg>\n"])


def in_group(resources: list[Resource], group: str, type_: str) -> list[Resource]:
    """Resources of one type in one group."""
    return [r for r in resources if r.group == group and r.type == type_]


def draw_region(drawing: Drawing, resources: list[Resource], site: Resource, x: int, pinned: dict[str, str]) -> None:
    """One region: its app, its network with the endpoints, its zones."""
    running = site.body["properties"]["state"] == "Running"
    vnet = in_group(resources, site.group, "Microsoft.Network/virtualNetworks")[0]
    subnets = {s["name"]: s["properties"]["addressPrefix"] for s in vnet.body["properties"]["subnets"]}
    drawing.box(x, 50, 400, 620, "#ffffff")
    drawing.words(x + 16, 76, f"{site.body['location']}  ({'works' if running else 'stands by'})", 16, True)
    drawing.box(x + 16, 92, 368, 64, WORKS if running else WAITS, dashed=not running)
    drawing.words(x + 30, 116, "function app, Python, Durable Functions", 13, True)
    drawing.words(x + 30, 138, f"deployed, {site.body['properties']['state'].lower()}; own identity, own plan", 12)
    drawing.box(x + 16, 196, 368, 292, "#fafafa")
    prefix = vnet.body["properties"]["addressSpace"]["addressPrefixes"][0]
    drawing.words(x + 30, 218, f"virtual network {prefix}", 13, True)
    drawing.words(x + 30, 240, f"integration subnet {subnets['snet-functions']}: the way out", 12)
    drawing.words(x + 30, 262, f"endpoint subnet {subnets['snet-endpoints']}: 443 from the app only", 12)
    drawing.arrow(x + 200, 156, x + 200, 194)
    draw_endpoints(drawing, in_group(resources, site.group, "Microsoft.Network/privateEndpoints"), x, pinned)
    draw_zones(drawing, in_group(resources, site.group, "Microsoft.Network/privateDnsZones"), x)


def draw_endpoints(drawing: Drawing, endpoints: list[Resource], x: int, pinned: dict[str, str]) -> None:
    """The endpoints in the order of their addresses."""
    for row, endpoint in enumerate(endpoints):
        group_id = endpoint.body["properties"]["privateLinkServiceConnections"][0]["properties"]["groupIds"][0]
        hub = endpoint.name in pinned
        label = f"{pinned[endpoint.name]:12}  {group_id}" if hub else f"next free     {group_id} ({_purpose(endpoint)})"
        drawing.words(x + 44, 290 + row * 21, label, 12, color=QUIET if "secondary" in group_id else INK)


def _purpose(endpoint: Resource) -> str:
    return "function keys" if endpoint.name.endswith("vault") else "journal"


def draw_zones(drawing: Drawing, zones: list[Resource], x: int) -> None:
    """The region's own zones, linked to its network only."""
    drawing.box(x + 16, 506, 368, 146, "#fafafa")
    drawing.words(x + 30, 530, "own private DNS zones, linked here only", 13, True)
    for row, zone in enumerate(zones):
        drawing.words(x + 44, 554 + row * 22, zone.name, 12)


def draw_state(drawing: Drawing, account: Resource) -> None:
    """What both regions share."""
    drawing.box(450, 110, 280, 170, STATE)
    drawing.words(466, 136, "storage account: the task hub", 14, True)
    drawing.words(466, 160, f"{account.body['sku']['name']}, private, no keys", 12)
    drawing.words(466, 182, f"primary copy in {account.body['location']}", 12)
    drawing.words(466, 204, "second copy in the other region,", 12)
    drawing.words(466, 222, "readable, some seconds behind", 12)
    drawing.words(466, 250, "a failover swaps copies, not names", 12, True)
    drawing.box(450, 310, 280, 70, STATE)
    drawing.words(466, 336, "journal account, northeurope", 13, True)
    drawing.words(466, 358, "accepted requests outlive the region", 12)
    drawing.box(450, 410, 280, 70, STATE)
    drawing.words(466, 436, "key vault, northeurope", 13, True)
    drawing.words(466, 458, "one set of function keys for both apps", 12)
    drawing.words(450, 516, "Resource group of the state: northeurope, so that", 12, color=QUIET)
    drawing.words(450, 534, "it can be managed when westeurope is down.", 12, color=QUIET)
    drawing.words(450, 566, "Grey endpoints lead to the readable second copy.", 12, color=QUIET)
    drawing.words(450, 584, "They do not answer between an unplanned failover", 12, color=QUIET)
    drawing.words(450, 602, "and the end of the re-protection.", 12, color=QUIET)


def draw() -> str:
    """The whole drawing."""
    resources, drawing = expand(ROOT), Drawing()
    addresses = {r.name: r for r in expand(ROOT, pinEndpointAddresses=True) if r.type.endswith("privateEndpoints")}
    pinned = {
        name: configuration["properties"]["privateIPAddress"]
        for name, endpoint in addresses.items()
        for configuration in endpoint.body["properties"].get("ipConfigurations", [])
    }
    account = next(r for r in resources if r.type == "Microsoft.Storage/storageAccounts")
    home, standby = (r for r in resources if r.type == "Microsoft.Web/sites")
    drawing.words(20, 30, "Two regions on one task hub", 18, True)
    draw_region(drawing, resources, home, 20, pinned)
    draw_region(drawing, resources, standby, 760, pinned)
    draw_state(drawing, account)
    drawing.arrow(404, 290, 448, 220)
    drawing.arrow(776, 290, 732, 220, dashed=True)
    return drawing.svg()


if __name__ == "__main__":
    TARGET.write_text(draw(), encoding="utf-8")
    print(TARGET)
