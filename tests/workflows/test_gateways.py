"""Calls outside: what may be repeated, what is an answer, and what is missing; and messages sent through them."""

from typing import Any

import pytest

from tests.workflows.conftest import Outside
from workflows import gateways, notifications, settings
from workflows.gateways import PAYMENT, Unavailable

CHARGE = {"key": "A/payment", "amount": 1, "currency": "EUR", "card": "tok_visa"}
MAIL = {"key": "A-1/mail", "to": "kim@example.com", "subject": "s", "text": "t"}
send: Any = notifications.send_notification._function._func


def test_the_same_key_gets_the_same_answer_and_does_nothing_more(outside: Outside) -> None:
    first, again = (gateways.call(PAYMENT, "POST", "/payments", "k", CHARGE) for _ in range(2))
    assert first == again and first.ok and outside.sums() == {"charges": 1}


def test_what_may_get_better_is_raised(outside: Outside) -> None:
    for mode, status in (("once", 503), ("once", 429), ("after", 503)):
        outside.fail("payment", mode, status=status)
        with pytest.raises(Unavailable, match="PAYMENT_URL"):
            gateways.call(PAYMENT, "POST", "/payments", "k", CHARGE)


def test_an_answer_that_comes_too_late_is_raised_and_the_work_may_be_done(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateways, "ANSWER_SECONDS", 0.05)
    outside.fail("payment", "slowly", seconds=0.2)
    with pytest.raises(Unavailable, match="ReadTimeout"):
        gateways.call(PAYMENT, "POST", "/payments", "k", CHARGE)


def test_nobody_there_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAYMENT_URL", "http://127.0.0.1:9")
    with pytest.raises(Unavailable, match="ConnectionError"):
        gateways.call(PAYMENT, "POST", "/payments", "k", CHARGE)


def test_a_refusal_is_an_answer_with_a_reason(outside: Outside) -> None:
    answer = gateways.call(PAYMENT, "POST", "/payments", "k", {**CHARGE, "card": "tok_declined"})
    assert (answer.status, answer.ok, answer.reason()) == (402, False, "the card was declined")


def test_an_answer_that_is_no_json_still_has_a_reason(outside: Outside) -> None:
    assert gateways.call(PAYMENT, "GET", "/nothing").reason() == "the service answered 404"


def test_a_missing_address_names_its_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PAYMENT_URL", raising=False)
    with pytest.raises(settings.SettingMissing, match="PAYMENT_URL"):
        gateways.call(PAYMENT, "POST", "/payments", "k", CHARGE)


def test_a_message_carries_the_link_to_its_instance_and_is_sent_once(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUBLIC_BASE_URL", "https://shop.example.com/")
    assert [send(MAIL)["outcome"] for _ in range(2)] == ["sent", "sent"]
    assert outside.world.state["messages"][0]["link"] == "https://shop.example.com/api/instances/A-1"
    assert outside.sums() == {"messages": 1}


def test_a_mailbox_that_does_not_exist_is_an_answer(outside: Outside) -> None:
    assert send({**MAIL, "to": "refused@example.com"})["outcome"] == "refused"


def test_without_a_service_the_message_is_logged_with_its_link(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("NOTIFICATION_URL", raising=False)
    with caplog.at_level("INFO"):
        assert send(MAIL)["outcome"] == "logged"
    assert "/api/instances/A-1" in caplog.text
