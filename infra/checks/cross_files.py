"""Stage 7: azure.yaml, main.parameters.json, host.json, hooks and operator commands agree with the templates."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from infra.checks.expansion import Instance
from infra.checks.findings import Finding
from infra.checks.modules import arguments
from infra.checks.syntax import parse, plain_string

SET_BY_AZD = {"AZURE_ENV_NAME", "AZURE_LOCATION", "AZURE_SUBSCRIPTION_ID", "AZURE_TENANT_ID", "AZURE_PRINCIPAL_ID"}
ONLY_LOCAL = {"AzureWebJobsStorage", "BLOB_DIRECTORY"}
VARIABLE = re.compile(r"\$\{(\w+)(?:=[^}]*)?\}")
QUOTED_NAME = re.compile(r'"((?:AZURE|SERVICE|STORAGE|TASK|ACTIVE|DEPLOY|FENCED)_[A-Z_]+)"')


class Tree:
    """The files that have to agree."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.main = parse(root / "infra" / "main.bicep")
        self.azure: dict[str, Any] = yaml.safe_load((root / "azure.yaml").read_text())
        self.parameters: dict[str, Any] = json.loads((root / "infra" / "main.parameters.json").read_text())[
            "parameters"
        ]
        self.host: dict[str, Any] = json.loads((root / "host.json").read_text())

    @property
    def outputs(self) -> set[str]:
        return {output.name for output in self.main.of_kind("output")}

    @property
    def variables(self) -> set[str]:
        return {name for row in self.parameters.values() for name in VARIABLE.findall(str(row["value"]))}


def services(tree: Tree) -> Iterator[str]:
    """The service names of azure.yaml are the tags of the two apps, and each names its own group."""
    tags = {
        plain_string(arguments(module)["serviceTag"])
        for module in tree.main.of_kind("module")
        if "serviceTag" in arguments(module)
    }
    if tags != set(tree.azure["services"]):
        yield f"azure.yaml names {sorted(tree.azure['services'])}, the templates tag {sorted(tags)}"
    for name, service in tree.azure["services"].items():
        for variable in VARIABLE.findall(service.get("resourceGroup", "")) or ["(none)"]:
            if variable not in tree.outputs:
                yield f"{name}.resourceGroup uses {variable}, which main.bicep does not output"
    if len({(s["project"], s.get("dist")) for s in tree.azure["services"].values()}) != 1:
        yield "both services must be deployed from the same package"


def hooks(tree: Tree) -> Iterator[str]:
    """Every hook is a file."""
    for name, hook in tree.azure["hooks"].items():
        if not (tree.root / hook["run"]).is_file():
            yield f"hook {name}: {hook['run']} does not exist"
    for name in ("preprovision", "predeploy", "postdeploy"):
        if name not in tree.azure["hooks"]:
            yield f"hook {name} is missing"


def parameters(tree: Tree) -> Iterator[str]:
    """main.parameters.json sets existing parameters, and every required one."""
    known = {param.name: param for param in tree.main.of_kind("param")}
    for name in tree.parameters.keys() - known.keys():
        yield f"main.parameters.json sets {name}, which main.bicep does not have"
    for name, param in known.items():
        if param.value is None and name not in tree.parameters:
            yield f"main.parameters.json does not set the required {name}"
    for name, row in tree.parameters.items():
        default = re.fullmatch(r"\$\{\w+=(.*)\}", row["value"])
        if default and name in known and known[name].value is not None:
            yield from _same_default(tree, name, default.group(1))


def _same_default(tree: Tree, name: str, substituted: str) -> Iterator[str]:
    node = next(p.value for p in tree.main.of_kind("param") if p.name == name)
    assert node is not None
    value = Instance(tree.main, {}, "").evaluate(node, {})
    written = value if isinstance(value, str) else json.dumps(value)
    if substituted != written:
        yield f"{name} defaults to {substituted} in main.parameters.json and to {written} in main.bicep"


def host_json(tree: Tree) -> Iterator[str]:
    """host.json has the hub of the templates, the app lease, the bundle range and the tracing of the design."""
    durable = tree.host["extensions"]["durableTask"]
    hub = tree.main.find("taskHubName")
    default = plain_string(hub.value) if hub and hub.value else ""
    if durable.get("hubName") not in ("%TASK_HUB_NAME%", default):
        yield f"host.json names the hub {durable.get('hubName')!r}, main.bicep {default!r}"
    if durable.get("useAppLease") is False:
        yield "host.json must not turn the app lease off"
    lease = durable.get("appLeaseOptions", {})
    acquire, renew, length = (lease.get(f"{name}Interval", "") for name in ("acquire", "renew", "lease"))
    # Times of one form sort as texts.
    if not ("00:00:05" <= acquire <= "00:00:30" and renew < length <= "00:01:00"):
        yield "host.json must set appLeaseOptions: by default a standby waits five minutes for its second try"
    if tree.host["extensionBundle"]["version"] != "[4.*, 5.0.0)":
        yield "host.json must use the extension bundle [4.*, 5.0.0)"
    if durable.get("tracing", {}).get("version") != "V2":
        yield "host.json must use tracing V2"


def names_in_code(tree: Tree) -> Iterator[str]:
    """Every environment value that hooks and commands read is an output, a parameter, or azd's own."""
    known = tree.outputs | tree.variables | SET_BY_AZD
    for folder in ("infra/hooks", "recovery"):
        for path in sorted((tree.root / folder).glob("*.py")):
            for name in sorted(set(QUOTED_NAME.findall(path.read_text())) - known):
                yield f"{path.relative_to(tree.root).as_posix()} reads {name}, which nothing sets"


def python_version(tree: Tree) -> Iterator[str]:
    """The package is built for the Python that the apps run."""
    declared = tree.main.find("pythonVersion")
    version = plain_string(declared.value) if declared and declared.value else ""
    hook = (tree.root / "infra" / "hooks" / "build_package.py").read_text()
    if f'PYTHON_VERSION = "{version}"' not in hook:
        yield f"build_package.py does not build for Python {version}"


def documented(tree: Tree) -> Iterator[str]:
    """Every environment value is in the table of docs/deploy.md."""
    page = tree.root / "docs" / "deploy.md"
    words = page.read_text() if page.is_file() else ""
    for name in sorted(tree.variables):
        if f"`{name}`" not in words:
            yield f"docs/deploy.md does not explain {name}"


def settings(tree: Tree) -> Iterator[str]:
    """Every setting that the app reads is set by the templates, or explained as one of the workflows' own."""
    template = (tree.root / "infra" / "modules" / "function-app.bicep").read_text()
    page = (tree.root / "docs" / "deploy.md").read_text() if (tree.root / "docs" / "deploy.md").is_file() else ""
    example = json.loads((tree.root / "local.settings.json.example").read_text())["Values"]
    for name in sorted(example.keys() - ONLY_LOCAL):
        if f"  {name}:" not in template and f"  {name}__" not in template and f"`{name}`" not in page:
            yield f"{name} is in local.settings.json.example, but neither set in Azure nor explained in docs/deploy.md"


RULES = {
    "cross-settings": settings,
    "cross-services": services,
    "cross-hooks": hooks,
    "cross-parameters": parameters,
    "cross-host-json": host_json,
    "cross-names-in-code": names_in_code,
    "cross-python-version": python_version,
    "cross-documented": documented,
}


def check(root: Path) -> Iterator[Finding]:
    """Every rule, on the files of one tree."""
    if parse(root / "infra" / "main.bicep").root.has_error:
        return  # The stage before says why.
    try:
        tree = Tree(root)
    except (OSError, ValueError, KeyError, yaml.YAMLError) as error:
        yield Finding("cross-files", "infra", f"a file that has to agree cannot be read: {error}")
        return
    for name, rule in RULES.items():
        for reason in rule(tree):
            yield Finding(name, "infra", reason)
