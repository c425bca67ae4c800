"""Log events are a closed list of identifiers, each with a meaning."""

import re

from pipeline.telemetry.log_events import MEANINGS, logged_events


def test_every_event_in_the_code_has_a_meaning_and_every_meaning_an_event() -> None:
    assert {event.name for event in logged_events()} == set(MEANINGS)


def test_an_event_is_an_identifier_that_an_alert_can_name() -> None:
    assert [event.name for event in logged_events() if not re.fullmatch(r"[a-z]+(_[a-z]+)*", event.name)] == []


def test_levels_and_fields_come_from_the_code() -> None:
    letter = next(event for event in logged_events() if event.name == "dead_letter")
    assert letter.levels == ("warning",)
    assert letter.fields == ("detail", "offset", "partition", "reason", "topic")
    viewed = next(event for event in logged_events() if event.name == "restricted_policy_viewed")
    assert viewed.fields == ("command", "policies", "user")


def test_an_event_with_a_traceback_has_a_level_that_a_line_can_have() -> None:
    """structlog writes `error` for `log.exception`."""
    refused = next(event for event in logged_events() if event.name == "record_refused")
    assert (refused.levels, refused.traceback) == (("error",), True)
    assert "exception" not in {level for event in logged_events() for level in event.levels}
