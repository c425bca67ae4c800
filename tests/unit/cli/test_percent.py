"""Shares of images on the command line."""

import pytest

from pipeline.cli.percent import share_of
from pipeline.errors import UsageError


@pytest.mark.parametrize(
    ("text", "share"), [("10%", 0.1), ("0.5%", 0.005), ("0.1", 0.1), ("1%", 0.01), ("99.9%", 0.999)]
)
def test_a_share_is_a_percentage_or_a_number_below_one(text: str, share: float) -> None:
    assert share_of(text, "--canary") == pytest.approx(share)


@pytest.mark.parametrize("text", ["0%", "0", "100%", "1", "150%", "-5%", "nan", "nan%", "inf%", "ten", "%", ""])
def test_any_other_share_is_refused_by_the_name_of_its_option(text: str) -> None:
    with pytest.raises(UsageError, match=f"`--canary {text}`: .* for example `10%` or `0.1`"):
        share_of(text, "--canary")


def test_a_sample_may_be_everything_but_says_so_in_percent() -> None:
    """A bare `1` may be meant as 1 %."""
    assert share_of("100%", "--sample", whole=True) == 1
    for text in ("1", "101%", "0%"):
        with pytest.raises(UsageError, match="--sample"):
            share_of(text, "--sample", whole=True)
