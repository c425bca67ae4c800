"""Notices of a sweep: they propose the next steps, and their commands are correct."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from pipeline.archive.search import Neighbour
from pipeline.cli.images.sweep_output import next_steps, notices, write_groups
from pipeline.evaluation.search.groups import Group
from pipeline.operations.images.incident_policy import IncidentPolicy, WrittenPolicy
from pipeline.operations.images.pictures import Picture, PictureSource
from pipeline.operations.images.sweep import Examples, Sweep, SweepRequest

REQUEST = SweepRequest((Path("worst.jpg"),), datetime(2031, 5, 1, tzinfo=UTC), min_similarity=0.8, top=500)


def group(*names: str, cosine: float = 1.0) -> Group:
    time = datetime(2031, 5, 1)  # noqa: DTZ001 -- as the archive has it
    return Group(tuple(Neighbour(cosine, f"i/0/{name}", name, "shop", "c", "", time) for name in names))


def sweep(
    *groups: Group, only_examples: bool = False, below: tuple[float, ...] = (), withheld: int = 0, top: bool = False
) -> Sweep:
    pictures = {
        each.key: Picture(None if each.event_id == "gone" else b"\xff\xd8", PictureSource.NONE)
        for one in groups
        for each in one.images
    }
    examples = Examples((Path("worst.jpg"),), np.zeros((1, 4), np.float32))
    return Sweep(examples, groups, withheld, only_examples, below, top, pictures)


def told(found: Sweep) -> list[str]:
    return list(notices(found, REQUEST))


def test_counts_are_in_words() -> None:
    assert told(sweep(group("a"))) == ["found 1 image in 1 group of copies, like 1 given image"]
    assert told(sweep(group("a", "b"), group("c"))) == ["found 3 images in 2 groups of copies, like 1 given image"]


def test_nothing_over_the_minimum_names_the_nearest_and_a_lower_minimum() -> None:
    assert told(sweep(only_examples=True, below=(0.714, 0.70, 0.652))) == [
        "nothing over 0.8; the nearest others are at 0.71, 0.70, 0.65: try `--min-similarity 0.7`"
    ]


def test_finding_only_the_given_images_names_the_nearest_others() -> None:
    _, hint = told(sweep(group("a"), only_examples=True, below=(0.62,)))
    assert hint == "nothing else over 0.8; the nearest other image is at 0.62: try `--min-similarity 0.6`"


def test_an_archive_without_other_images_has_no_advice() -> None:
    assert told(sweep(only_examples=True)) == ["nothing over 0.8"]


def test_withheld_images_and_a_reached_limit_are_reported() -> None:
    first, *_, last = told(sweep(group("a"), withheld=2, top=True))
    assert first == "withheld 2 images that a restricted policy flags"
    assert last == "`--top 500` was reached, so there may be more images: try a larger number"


def steps(folder: Path, policies: Path, *, alone: bool) -> str:
    policy = IncidentPolicy("incident.a", folder, None, 0.8)
    return next_steps(policy, WrittenPolicy(folder / "incident-a.yaml", alone=alone), policies)


def test_a_policy_next_to_others_is_back_tested_in_its_folder() -> None:
    told = steps(Path("policies"), Path("policies"), alone=False)
    assert "`watchword policies backtest policies`" in told
    assert "`watchword policies label incident.a --policies policies`" in told


def test_a_policy_alone_in_its_folder_is_first_copied_to_the_others() -> None:
    """A back-test of its folder would report every other policy's flags as cleared."""
    told = steps(Path("new one"), Path("policies"), alone=True)
    assert "`cp -r 'new one'/. policies && watchword policies backtest policies`" in told
    assert "`watchword policies backtest 'new one'`" not in told


def test_the_only_policy_of_the_settings_folder_gets_no_back_test_advice(tmp_path: Path) -> None:
    told = steps(tmp_path, tmp_path, alone=True)
    assert "backtest" not in told
    assert "policies label incident.a" in told


def test_a_page_has_a_picture_for_each_group(tmp_path: Path) -> None:
    """The picture is of the nearest image that has one."""
    page = tmp_path / "page.html"
    write_groups(page, sweep(group("gone", "b"), group("c", cosine=0.81)), REQUEST)
    text = page.read_text()
    assert text.count("data:image/jpeg;base64,") == 2
    assert "Like worst.jpg" in text
    assert "3 images in 2 groups of copies, with a cosine of at least 0.8." in text
    assert "2 images from shop" in text


@pytest.mark.parametrize("count", [3, 5])
def test_a_group_names_its_first_events(tmp_path: Path, count: int) -> None:
    page = tmp_path / "page.html"
    write_groups(page, sweep(group(*"abcde"[:count])), REQUEST)
    assert ("a, b, c and 2 more" in page.read_text()) is (count == 5)
