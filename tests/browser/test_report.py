"""The scan report in a real browser, at phone and desktop width."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
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


def test_nothing_is_wider_than_the_page(browser: Chrome) -> None:
    width, inner = browser.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
    assert width <= inner


def test_the_page_asks_the_network_for_nothing_and_a_file_name_is_only_text(browser: Chrome, report: Path) -> None:
    assert not re.search(r"""(src|href)=["']?(https?:|//)""", report.read_text())
    assert browser.title.startswith("Watchword scan")
    unjudged = [card.text for card in browser.find_elements(By.TAG_NAME, "li") if "not judged" in card.text]
    assert len(unjudged) == 1
    assert "unsupported_format" in unjudged[0]
