"""Sampling of images by event id, for canaries and for audits."""

import pytest

from pipeline.events.releases import in_sample


def test_a_share_is_drawn_by_event_and_by_purpose() -> None:
    ids = [str(number) for number in range(20_000)]
    canary = {event_id for event_id in ids if in_sample(0.1, "shop", event_id, "canary")}
    wider = {event_id for event_id in ids if in_sample(0.2, "shop", event_id, "canary")}
    other = {event_id for event_id in ids if in_sample(0.1, "shop", event_id, "audit")}
    assert canary < wider, "what a small share has, a larger one has too"
    assert len(canary) == pytest.approx(2000, abs=5 * 42)
    assert len(canary & other) == pytest.approx(200, abs=5 * 14), "two purposes have nothing to do with each other"
    assert not any(in_sample(0.0, "shop", event_id, "canary") for event_id in ids)
    assert all(in_sample(1.0, "shop", event_id, "canary") for event_id in ids)
