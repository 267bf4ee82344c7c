"""What the official worker is compared with is asked here too: the lab's side of the comparison answers every question.

The comparison itself needs Python 3.13 and `azure-functions-runtime`; CI's job `official-worker` makes it.
"""

from __future__ import annotations

import pytest

from tests.lab.worker import official


@pytest.mark.parametrize("app", ["http", "corpus", "indexing"])
def test_every_question_has_an_answer(app: str) -> None:
    questions = official.QUESTIONS[app]
    answered = official.ask("ours", official.APPS / app, questions)
    assert len(answered["answers"]) == len(questions) > 0
    failed = [name for (_, name, _), one in zip(questions, answered["answers"], strict=True) if "failed" in one]
    assert failed == {"http": ["none", "gives_dict", "raises"], "corpus": ["flaky"], "indexing": []}[app]


def test_a_difference_is_found() -> None:
    questions: list[official.Question] = [("activity", "f", "1")]
    theirs = {"functions": {"f": [{"name": "x"}]}, "answers": [{"result": "1", "outputs": {}}]}
    assert official.differences("app", questions, theirs, theirs) == []
    for own in (
        {"refused": "no"}, {**theirs, "functions": {}}, {**theirs, "answers": [{"result": "2", "outputs": {}}]},
        {**theirs, "answers": [{"failed": "ValueError: 1"}]},
    ):  # fmt: skip
        assert len(official.differences("app", questions, theirs, own)) == 1
