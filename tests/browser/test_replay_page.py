"""The replay's page in a real browser, at phone and desktop width."""

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
def page(tmp_path_factory: pytest.TempPathFactory, samples: Path) -> Path:
    path = tmp_path_factory.mktemp("replay") / "replay.html"
    words = ["replay", "samples", "--split", "val", "--html", str(path)]
    command = [str(Path(sys.executable).with_name("watchword")), *words]
    assert subprocess.run(command, capture_output=True, cwd=samples.parent, check=False).returncode == 0
    return path


@pytest.fixture
def browser(visit: Callable[[Path], Chrome], page: Path) -> Chrome:
    return visit(page)


def test_every_policy_has_its_figures_and_its_curve(browser: Chrome, policies: Path) -> None:
    sections = browser.find_elements(By.TAG_NAME, "section")
    assert len(sections) == len(list(policies.glob("*.yaml")))
    for section in sections:
        assert re.search(r"precision \d\.\d\d \(\d\.\d\d to \d\.\d\d\)", section.text)
        curve = section.find_element(By.CSS_SELECTOR, "svg path.curve")
        assert (curve.get_attribute("d") or "").startswith("M")
        box, frame = (
            browser.execute_script("return arguments[0].getBBox()", section.find_element(By.CSS_SELECTOR, part))
            for part in ("path.curve", "rect.frame")
        )
        assert frame["x"] - 1 <= box["x"] <= box["x"] + box["width"] <= frame["x"] + frame["width"] + 1


def test_errors_are_blurred_until_clicked(browser: Chrome) -> None:
    button = browser.find_element(By.CSS_SELECTOR, "section button[aria-pressed]")
    picture = button.find_element(By.TAG_NAME, "img")
    assert "blur" in picture.value_of_css_property("filter")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", button)
    button.click()
    WebDriverWait(browser, 5).until(lambda _: picture.value_of_css_property("filter") == "none")


def test_nothing_is_wider_than_the_page_and_nothing_is_asked_of_the_network(browser: Chrome, page: Path) -> None:
    width, inner = browser.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
    assert width <= inner
    assert not re.search(r"""(src|href)=["']?(https?:|//)""", page.read_text())
