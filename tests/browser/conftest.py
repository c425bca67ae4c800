"""A real Chromium, at phone and desktop width."""

from collections.abc import Callable, Iterator
from importlib import resources
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
    """A browser with a separate profile."""
    options = ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in (*FLAGS, f"--user-data-dir={tmp_path}/profile", f"--window-size={request.param},1000"):
        options.add_argument(flag)
    driver = Chrome(options, Service("/usr/bin/chromedriver"))
    # A window is never narrower than 500 pixels.
    size = {"width": request.param, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    driver.set_script_timeout(120)
    yield driver
    driver.quit()


@pytest.fixture
def visit(chromium: Chrome) -> Callable[[Path], Chrome]:
    """Opens a page that is a file."""

    def open_page(page: Path) -> Chrome:
        chromium.get(page.as_uri())
        return chromium

    return open_page


@pytest.fixture
def audited(chromium: Chrome) -> Callable[..., None]:
    """
    Asserts that axe finds no serious fault in the open page, in light and dark mode, including contrast.

    `without` selects elements that are like others: axe takes 20 ms for each.
    """

    def audit(without: str = "") -> None:
        chromium.execute_script((resources.files("axe_core_python") / "axe.min.js").read_text())
        for scheme in ("light", "dark"):
            features = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
            chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", features)
            found = chromium.execute_async_script(
                "axe.run({exclude: arguments[0]}).then(arguments[arguments.length - 1])", [[without]] if without else []
            )
            faults = [each for each in found["violations"] if each["impact"] in ("serious", "critical")]
            assert not faults, [(scheme, each["id"], [node["html"] for node in each["nodes"]]) for each in faults]

    return audit
