"""The label page in a real browser with ids as long as they come: everything fits, and every button can be reached."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from pipeline.evaluation.labelling.estimates import Labelling
from pipeline.evaluation.labelling.session import Candidate, LabellingSession
from pipeline.evaluation.stats.stratified_sample import draw_sample
from pipeline.studio.label_server import LabelServer, Words

LONG = "/srv/" + "x" * 300 + "/<b>\u202egpj.jpg"


@pytest.fixture
def page(chromium: Chrome, tmp_path: Path, revolver: bytes) -> Iterator[Chrome]:
    scores = np.arange(4, dtype=np.float64)
    strata = draw_sample(scores, scores > 2, scores > 2, 4, np.random.default_rng(1))
    labelling = Labelling(strata, scores, target=0.9, confidence=0.95, rng=np.random.default_rng(1))
    candidates = [Candidate(place, f"i/0/{place}", LONG, "y" * 200, "c", flagged=False) for place in labelling.order]
    file = tmp_path / "labels.jsonl"
    session = LabellingSession("p", candidates, labelling, lambda *_: revolver, file=file, reviewer="ana")
    words = Words("r" * 200, ("a revolver", "p" * 200), ("a stapler",))
    with contextlib.closing(
        LabelServer(session, title="t" * 200, about="a" * 200, words=words, next_command="watchword " + "n" * 200)
    ) as server:
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


def test_an_id_is_shown_on_request_alone_as_text_that_is_read_in_its_own_order(page: Chrome) -> None:
    """A path may give the answer away: a policy's words are shown in its place."""
    assert "/srv/" not in page.find_element(By.TAG_NAME, "body").text
    assert "/srv/" not in (page.find_element(By.ID, "picture").get_attribute("alt") or "")
    disclosure = page.find_element(By.CSS_SELECTOR, "#which summary")
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", disclosure)
    disclosure.click()
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
    told = page.find_element(By.ID, "summary").text
    assert "1 of 4 images answered: 1 flag, 0 fine, 0 unsure, 0 skipped" in told
    assert "precision: 1.00" in told
    assert "watchword nnn" in told
    _fits(page)


def test_the_words_of_the_policy_the_last_answer_and_the_target_are_shown(page: Chrome) -> None:
    told = page.find_element(By.CSS_SELECTOR, ".words").text
    assert "Looks for a revolver; ppp" in told
    assert "not for a stapler" in told
    assert page.find_element(By.ID, "precision").text == "–"
    assert not page.find_element(By.ID, "last").text
    _answer(page, "d")
    assert page.find_element(By.ID, "last").text == "Image 1: fine. Z takes it back."
    assert "the target is 0.9" in page.find_element(By.ID, "precision-note").text
    assert page.find_element(By.ID, "threshold").text == "not reachable", "of four images"


def test_flag_and_fine_have_colours_of_their_own(page: Chrome) -> None:
    flag, fine, skip = (
        page.find_element(By.CSS_SELECTOR, f'[data-answer="{name}"]').value_of_css_property("background-color")
        for name in ("flag", "fine", "skip")
    )
    assert len({flag, fine, skip}) == 3


def test_a_question_mark_shows_the_keys_and_no_answer_is_taken_meanwhile(page: Chrome) -> None:
    keys = page.find_element(By.ID, "keys")
    ActionChains(page).send_keys("?").perform()
    assert "take the last answer back" in keys.text
    ActionChains(page).send_keys("s").perform()
    assert page.execute_script("return [busy, state.number]") == [False, 0]
    ActionChains(page).send_keys("?").perform()
    assert not keys.is_displayed()
    page.find_element(By.CSS_SELECTOR, '[data-key="?"]').click()
    _fits(page)
    keys.click()
    assert not keys.is_displayed()


def test_the_page_has_no_serious_fault_in_any_state(page: Chrome, audited: Callable[[], None]) -> None:
    """At the start, with the keys shown, with an answer given, and finished; in light and dark."""
    audited()
    page.execute_script("press('?')")
    audited()
    page.execute_script("press('?')")
    _answer(page, "f")
    audited()
    page.execute_script("press('q')")
    WebDriverWait(page, 10).until(lambda _: page.find_element(By.ID, "summary").is_displayed())
    audited()


def _answer(page: Chrome, key: str) -> None:
    ActionChains(page).send_keys(" ").perform()
    WebDriverWait(page, 10).until(lambda _: page.execute_script("return looked"))
    number = page.execute_script("return state.number")
    ActionChains(page).send_keys(key).perform()
    WebDriverWait(page, 10).until(lambda _: page.execute_script("return state.number") > number)


def _fits(page: Chrome) -> None:
    width, inner = page.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    assert width <= inner
