"""A region's host is a process of its own: it says why it ended, and is gone when it is killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.drills.region import Region, RegionFailed


@pytest.fixture
def region(tmp_path: Path) -> Region:
    return Region("West Europe", "west", tmp_path / "account.db", tmp_path, app=tmp_path / "no-such-app")


def test_a_host_that_ends_by_itself_is_reported_with_its_last_words(region: Region) -> None:
    region.start()
    assert region._process is not None
    region._process.wait(30)
    with pytest.raises(RegionFailed, match=r"West Europe has ended by itself(.|\n)*no-such-app"):
        region.check()


def test_a_killed_host_is_gone_and_killing_it_again_does_no_harm(region: Region) -> None:
    region.start()
    region.kill()
    assert not region.is_running
    region.kill()
    region.stop()
