"""The label page in a real browser with ids as long as they come: everything fits, and every button can be reached."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from pipeline.evaluation.labelling.estimates import Labelling
from pipeline.evaluation.labelling.session import Candidate, LabellingSession
from pipeline.evaluation.stats.stratified_sample import draw_sample
from pipeline.studio.label_server import LabelServer

LONG = "/srv/" + "x" * 300 + "/<b>\u202egpj.jpg"


@pytest.fixture
def page(chromium: Chrome, tmp_path: Path, revolver: bytes) -> Iterator[Chrome]:
    scores = np.arange(4, dtype=np.float64)
    strata = draw_sample(scores, scores > 2, scores > 2, 4, np.random.default_rng(1))
    labelling = Labelling(strata, scores, target=0.9, confidence=0.95, rng=np.random.default_rng(1))
    candidates = [Candidate(place, f"i/0/{place}", LONG, "y" * 200, "c", flagged=False) for place in labelling.order]
    file = tmp_path / "labels.jsonl"
    session = LabellingSession("p", candidates, labelling, lambda *_: revolver, file=file, reviewer="ana")
    with contextlib.closing(LabelServer(session, title="t" * 200, about="a" * 200)) as server:
        chromium.get(server.address)
        yield chromium


def test_nothing_is_wider_than_the_page_and_every_button_is_within_sight(page: Chrome) -> None:
    width, inner, height = page.execute_script("return [document.documentElement.scrollWidth, innerWidth, innerHeight]")
    assert width <= inner
    for button in page.find_elements(By.TAG_NAME, "button"):
        box = page.execute_script("return arguments[0].getBoundingClientRect().toJSON()", button)
        assert 0 <= box["left"] <= box["right"] <= inner
        assert box["bottom"] <= height
    assert page.execute_script("return [...document.querySelectorAll('p, dd')].every(e => e.scrollWidth <= innerWidth)")


def test_an_id_is_text_that_is_read_in_its_own_order(page: Chrome) -> None:
    assert page.find_element(By.ID, "event").text.startswith(LONG.replace("\u202e", "\\u202e"))


def test_a_label_by_touch_alone(page: Chrome) -> None:
    """Look, flag and finish by the buttons; then none can be pressed."""
    keys = (" ", "f", "q", "z")
    look, flag, finish, undo = (page.find_element(By.CSS_SELECTOR, f'[data-key="{key}"]') for key in keys)
    undo.click()
    assert "no answer to take back" in page.find_element(By.ID, "note").text
    look.click()
    WebDriverWait(page, 10).until(lambda _: page.execute_script("return looked"))
    flag.click()
    WebDriverWait(page, 10).until(lambda _: page.execute_script("return state.number") == 1)
    finish.click()
    WebDriverWait(page, 10).until(lambda _: not page.find_elements(By.CSS_SELECTOR, "button:enabled"))
    assert "Finished" in page.find_element(By.ID, "note").text
