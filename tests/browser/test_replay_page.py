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


def test_a_table_of_all_policies_leads_to_each_and_says_what_provisional_means(browser: Chrome, policies: Path) -> None:
    rows = browser.find_elements(By.CSS_SELECTOR, "table.policies tbody tr")
    assert len(rows) == len(list(policies.glob("*.yaml")))
    for row in rows:
        assert re.search(r"\d \d\.\d\d \(\d\.\d\d to \d\.\d\d\) \d\.\d\d \(\d\.\d\d to \d\.\d\d\)", row.text)
        target = (row.find_element(By.TAG_NAME, "a").get_attribute("href") or "").rpartition("#")[2]
        assert browser.find_element(By.ID, target).tag_name == "section"
    assert "provisional" in rows[0].text
    assert "Provisional: no labels support this threshold yet" in browser.find_element(By.TAG_NAME, "main").text


def test_the_interval_of_the_threshold_in_force_is_drawn_around_its_dot(browser: Chrome) -> None:
    for section in browser.find_elements(By.TAG_NAME, "section"):
        cross, dot, frame = (
            browser.execute_script("return arguments[0].getBBox()", section.find_element(By.CSS_SELECTOR, part))
            for part in ("path.interval", "circle.point", "rect.frame")
        )
        middle = (dot["x"] + dot["width"] / 2, dot["y"] + dot["height"] / 2)
        assert frame["x"] - 1 <= cross["x"] <= middle[0] <= cross["x"] + cross["width"] + 0.1
        assert cross["y"] - 0.1 <= middle[1] <= cross["y"] + cross["height"]
        assert min(cross["width"], cross["height"]) > 1


def test_the_page_has_no_serious_fault_in_light_or_dark(browser: Chrome, audited: Callable[[], None]) -> None:
    audited()


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
