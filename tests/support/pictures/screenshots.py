"""Pictures of pages in a real Chromium, small enough to be kept in the repository."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

from tests.browser.conftest import FLAGS

SIZE = (1280, 900)
LARGEST_BYTES = 200_000


@contextmanager
def browser(folder: Path) -> Iterator[Chrome]:
    """Hold a browser of `SIZE`, with a profile of its own in `folder`."""
    options = ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    window = ",".join(map(str, SIZE))
    for flag in (*FLAGS, "--hide-scrollbars", f"--user-data-dir={folder}/profile", f"--window-size={window}"):
        options.add_argument(flag)
    driver = Chrome(options, Service("/usr/bin/chromedriver"))
    try:
        yield driver
    finally:
        driver.quit()


def write_screenshot(chrome: Chrome, file: Path) -> None:
    """Write what the window shows as a PNG."""
    write_small(chrome.get_screenshot_as_png(), file)


def write_small(png: bytes, file: Path) -> None:
    """Write a PNG in as many colours as fit into `LARGEST_BYTES`."""
    shown = Image.open(io.BytesIO(png)).convert("RGB")
    for colours in (256, 128, 64, 32, 16):
        content = io.BytesIO()
        shown.quantize(colours).save(content, "PNG", optimize=True)
        if content.tell() <= LARGEST_BYTES:
            file.write_bytes(content.getvalue())
            return
    raise ValueError(f"{file.name}: more than {LARGEST_BYTES} bytes in 16 colours")
