"""A real Chromium, at phone and desktop width."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
)  # fmt: skip


@pytest.fixture(params=[390, 1280], ids=["phone", "desktop"])
def chromium(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Chrome]:
    """A browser with a profile of its own."""
    options = ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in (*FLAGS, f"--user-data-dir={tmp_path}/profile", f"--window-size={request.param},1000"):
        options.add_argument(flag)
    driver = Chrome(options, Service("/usr/bin/chromedriver"))
    yield driver
    driver.quit()


@pytest.fixture
def visit(chromium: Chrome) -> Callable[[Path], Chrome]:
    """Opens a page that is a file."""

    def open_page(page: Path) -> Chrome:
        chromium.get(page.as_uri())
        return chromium

    return open_page
