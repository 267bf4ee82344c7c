"""The SDK's ceiling is measured with the episodes that a real chain has."""

from __future__ import annotations

import json

import pytest
from azure.functions._durable_functions import OrchestrationContext

from bench import replay


# The SDK says once per process that it would like types in annotations.
@pytest.mark.filterwarnings("ignore:azure.functions df_loads:DeprecationWarning")
def test_a_chain_of_five_cities_has_six_episodes_the_last_of_which_ends_it() -> None:
    handle, texts = replay.registered(), replay.episodes()
    answers = [json.loads(handle(OrchestrationContext(text))) for text in texts]
    assert [answer["isDone"] for answer in answers] == [False] * 5 + [True]
    assert [len(answer["actions"][0]) for answer in answers] == [1, 2, 3, 4, 5, 5]
    assert answers[-1]["output"][0] == "Hello Tokyo!"


def test_the_cpu_bound_activity_is_measured_as_the_plain_function_it_is() -> None:
    assert replay.registered("work")(10) == sum(number * number % 7 for number in range(10))
    assert replay.work(0.01) > 0
