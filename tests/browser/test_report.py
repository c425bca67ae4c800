"""The scan report in a real browser, at phone and desktop width."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, samples: Path) -> Path:
    folder = tmp_path_factory.mktemp("scan")
    hostile = folder / "<img src=x onerror=document.title=1>.jpg"
    hostile.write_bytes(b"no image")
    words = ["scan", samples / "images/watch", samples / "images/grand_piano", folder, "--html", folder / "report.html"]
    command = [str(Path(sys.executable).with_name("watchword")), *map(str, words)]
    assert subprocess.run(command, capture_output=True, cwd=samples.parent, check=False).returncode == 1
    return folder / "report.html"


@pytest.fixture
def browser(visit: Callable[[Path], Chrome], report: Path) -> Chrome:
    return visit(report)


def test_pictures_are_blurred_until_clicked(browser: Chrome) -> None:
    button = browser.find_element(By.CSS_SELECTOR, "button[aria-pressed]")
    picture = button.find_element(By.TAG_NAME, "img")
    assert "blur" in picture.value_of_css_property("filter")
    button.click()
    WebDriverWait(browser, 5).until(lambda _: picture.value_of_css_property("filter") == "none")
    assert button.get_attribute("aria-pressed") == "true"
    button.click()
    WebDriverWait(browser, 5).until(lambda _: "blur" in picture.value_of_css_property("filter"))


def test_flagged_images_come_first_with_score_and_reason(browser: Chrome) -> None:
    cards = browser.find_elements(By.TAG_NAME, "li")
    flagged = ["flagged" in (card.get_attribute("class") or "") for card in cards]
    assert flagged == sorted(flagged, reverse=True)
    assert any(flagged)
    text = cards[0].text
    assert re.search(r"counterfeit\.branded_goods: nearest to “.+” and “.+”", text)
    assert re.search(r"counterfeit\.branded_goods \d+\.\d\d \d+\.\d\d", text)


def test_a_policy_of_the_summary_shows_its_images_alone(browser: Chrome) -> None:
    """The table comes before the pictures, and a policy that flagged nothing cannot be chosen."""
    rows = browser.find_elements(By.CSS_SELECTOR, "table.summary tbody tr")
    flagging = next(row for row in rows if "counterfeit.branded_goods" in row.text)
    count = int(flagging.find_elements(By.TAG_NAME, "td")[1].text)
    assert any(not row.find_element(By.TAG_NAME, "input").is_enabled() for row in rows)
    flagging.find_element(By.TAG_NAME, "input").click()
    shown = [card for card in browser.find_elements(By.TAG_NAME, "li") if card.is_displayed()]
    assert len(shown) == count
    assert all("counterfeit.branded_goods" in card.text for card in shown)
    assert browser.find_element(By.ID, "shown").text == f"{count} images shown"
    rows[0].find_element(By.TAG_NAME, "input").click()
    assert all(card.is_displayed() for card in browser.find_elements(By.TAG_NAME, "li"))


def test_other_scores_are_shown_on_request_and_bars_mark_the_threshold(browser: Chrome) -> None:
    card = browser.find_element(By.TAG_NAME, "li")
    assert "wildlife.reptiles" not in card.text
    card.find_element(By.TAG_NAME, "summary").click()
    assert re.search(r"wildlife\.reptiles -?\d+\.\d\d \d+\.\d\d", card.text)
    bar = card.find_element(By.CSS_SELECTOR, ".yes .bar")
    score, threshold = (float(re.sub("%", "", _style(bar, name))) for name in ("--score", "--threshold"))
    assert 0 <= threshold <= score <= 100


def test_a_selected_path_is_copied_whole(browser: Chrome, samples: Path) -> None:
    """A path that is cut off on the page is copied without breaks, as the command wrote it."""
    copied = browser.execute_script(
        "getSelection().selectAllChildren(document.querySelector('li .path')); return getSelection().toString()"
    )
    assert Path(copied).is_file()
    assert samples in Path(copied).parents


def test_a_long_report_is_short_on_a_phone_and_has_no_serious_fault(
    browser: Chrome, audited: Callable[..., None]
) -> None:
    cards, height = browser.execute_script(
        "return [document.querySelectorAll('li').length, document.documentElement.scrollHeight]"
    )
    assert height / cards < 250
    audited(without="li:nth-of-type(n + 15):not(:last-of-type)")


def test_nothing_is_wider_than_the_page(browser: Chrome) -> None:
    width, inner = browser.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
    assert width <= inner


def test_the_page_asks_the_network_for_nothing_and_a_file_name_is_only_text(browser: Chrome, report: Path) -> None:
    assert not re.search(r"""(src|href)=["']?(https?:|//)""", report.read_text())
    assert browser.title.startswith("Watchword scan")
    unjudged = [card.text for card in browser.find_elements(By.TAG_NAME, "li") if "not judged" in card.text]
    assert len(unjudged) == 1
    assert "unsupported_format" in unjudged[0]


def _style(element: WebElement, name: str) -> str:
    style = element.get_attribute("style") or ""
    found = re.search(rf"{name}: ([^;]+)", style)
    assert found, style
    return found[1]
