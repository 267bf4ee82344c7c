"""A right result says what must be in an output; more may be in it, less may not."""

import pytest

from lab.right_results import greetings, is_right, right


def test_an_output_may_hold_more_than_the_right_result() -> None:
    wanted = right("order", total=450)
    output = {"status": "completed", "customer_told": True, "needs_attention": [], "total": 450, "tracking": "T-1"}
    assert is_right(output, wanted)


@pytest.mark.parametrize(
    "output", [{"status": "written"}, {}, None, "written", {"status": "completed", "total": 451}, ["status"]]
)
def test_an_output_that_lacks_or_changes_a_member_is_wrong(output: object) -> None:
    assert not is_right(output, right("order", total=450))


def test_a_result_that_is_no_object_must_be_equal() -> None:
    assert is_right(["Hello Oslo!"], greetings(("Oslo",)))
    assert not is_right(["Hello Oslo!", "Hello Oslo!"], greetings(("Oslo",)))


def test_an_end_that_no_workflow_has_is_refused() -> None:
    with pytest.raises(KeyError):
        right("order, forgotten")
