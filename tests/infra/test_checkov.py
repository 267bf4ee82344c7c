"""checkov's opinion, where it is installed: advisory, but it must have read every file."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Decisions, not defects: each with its reason.
DECISIONS = {
    "CKV_AZURE_13": "callers prove themselves with function keys, or with clientAuth entra",
    "CKV_AZURE_17": "no client certificates: keys or tokens instead",
    "CKV_AZURE_36": "nothing of Microsoft's needs to pass the account's firewall",
    "CKV_AZURE_63": "the logs go to the workspace by a diagnostic setting",
    "CKV_AZURE_65": "error pages tell a caller nothing",
    "CKV_AZURE_66": "request tracing is Application Insights' work",
    "CKV_AZURE_80": "not a .NET app",
    "CKV_AZURE_88": "no content share: it would need the account's key",
    "CKV_AZURE_206": "the redundancy is a parameter, which checkov does not evaluate",
    "CKV_AZURE_212": "one instance is the default; planCapacity is a parameter",
    "CKV_AZURE_222": "azd deploys from outside; SCM accepts Entra tokens only and can be restricted by address",
    "CKV_AZURE_225": "the second region is what this design has for a lost zone",
}


def test_checkov_reads_every_template_and_finds_only_what_was_decided() -> None:
    checkov = shutil.which("checkov")
    if checkov is None:
        pytest.skip("checkov is not installed; its opinion is advisory (pip install checkov==3.3.30)")
    command = [checkov, "-d", str(ROOT / "infra"), "--framework", "bicep", "-o", "json", "--skip-download"]
    report = json.loads(subprocess.run(command, capture_output=True, text=True).stdout)
    assert report["summary"]["parsing_errors"] == 0
    failed = {row["check_id"] for row in report["results"]["failed_checks"]}
    assert failed <= DECISIONS.keys()
