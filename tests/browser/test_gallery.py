"""The page of `watchword search` in a real browser, at phone and desktop width."""

from collections.abc import Callable
from pathlib import Path

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from typer.testing import CliRunner

from pipeline.cli.main import app


@pytest.fixture
def browser(visit: Callable[[Path], Chrome], tmp_path: Path, samples: Path) -> Chrome:
    page = tmp_path / "found.html"
    words = ["search", "<b>a leopard</b>", "--images", str(samples / "images/Leopards"), "--top", "6"]
    assert CliRunner().invoke(app, [*words, "--html", str(page)]).exit_code == 0
    return visit(page)


def test_pictures_found_are_blurred_until_clicked_and_fit_the_page(browser: Chrome) -> None:
    tiles = browser.find_elements(By.TAG_NAME, "li")
    assert len(tiles) == 6
    button = tiles[0].find_element(By.CSS_SELECTOR, "button[aria-pressed]")
    picture = button.find_element(By.TAG_NAME, "img")
    assert "blur" in picture.value_of_css_property("filter")
    button.click()
    WebDriverWait(browser, 5).until(lambda _: picture.value_of_css_property("filter") == "none")
    width, inner = browser.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
    assert width <= inner


def test_what_was_searched_for_is_only_text(browser: Chrome) -> None:
    assert browser.find_element(By.TAG_NAME, "h1").text == "Nearest to “<b>a leopard</b>”"
    assert not browser.find_elements(By.TAG_NAME, "b")


def test_the_page_names_the_scale_of_its_bars_and_has_no_serious_fault(
    browser: Chrome, audited: Callable[[], None]
) -> None:
    assert "Bars run from 0 to 1." in browser.find_element(By.CSS_SELECTOR, "p.about").text
    audited()
