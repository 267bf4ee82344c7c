"""Options of the whole test run."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=8, help="how often the kill test kills its host (8)")
    parser.addoption("--kill-seed", type=int, help="the moments at which it does; drawn and printed otherwise")
