"""The postdeploy hook."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.hooks.verify_regions import verify
from recovery.arm import Response
from tests.recovery.practice import Practice


class Deployed(Practice):
    """A practice deployment whose deployment services give back the package's hash."""

    hashes = {"func-weu-fake": "abc", "func-neu-fake": "abc"}

    def verify(self) -> list[str]:
        arm_only = self.azure.send

        def send(method: str, url: str, body: object, headers: dict[str, str]) -> Response:
            if ".scm." in url:
                return Response(200, {}, self.hashes[url.split("/")[2].split(".")[0]] + "\n")
            return arm_only(method, url, body, headers)

        self.azure.send = send  # type: ignore[method-assign]
        session = self.session()
        return verify(session.environment, session, "abc")


@pytest.fixture
def deployed(tmp_path: Path) -> Deployed:
    return Deployed(tmp_path)


def test_both_regions_as_they_should_be_are_left_alone(deployed: Deployed) -> None:
    assert deployed.verify() == []
    assert deployed.changing_calls() == []


def test_a_standby_that_was_started_by_the_deployment_is_stopped(deployed: Deployed) -> None:
    deployed.world.apps["func-neu-fake"] = "Running"
    assert deployed.verify() == []
    assert deployed.azure.running() == ["func-weu-fake"]


def test_a_region_with_another_package_is_named(deployed: Deployed) -> None:
    deployed.hashes = {"func-weu-fake": "abc", "func-neu-fake": "older"}
    assert "func-neu-fake in northeurope carries package older, expected abc" in deployed.verify()[0]


def test_a_region_that_does_not_tell_its_package_is_mentioned(deployed: Deployed) -> None:
    deployed.hashes = {"func-weu-fake": "abc", "func-neu-fake": ""}
    assert deployed.verify() == []
    assert "func-neu-fake carries package (it does not say which)" in deployed.text()
