"""Draw the pictures of README and docs from a real run. `make pictures` calls this."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from selenium.webdriver import ActionChains, Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from pipeline.archive.dataset import Archive
from pipeline.encode.bundle import Bundle
from pipeline.encode.local import LocalEncoder
from pipeline.settings import BUNDLED_MODEL
from tests.prove.prove import own_stack
from tests.support.archived import archive_photographs
from tests.support.archiving import PYTHON
from tests.support.pictures.screenshots import browser, write_screenshot
from tests.support.pictures.terminal import Run, write_terminal
from tests.support.stream import REPOSITORY, Stream

PICTURES = REPOSITORY / "docs/pictures"
SAMPLES = REPOSITORY / "samples/images"
SCANNED = ("Leopards", "flamingo", "crocodile", "dollar_bill", "ferry", "cup")
POLICY, EDITED, EDITED_THRESHOLD = "wildlife.big_cats", "wildlife-big_cats.yaml", "1.5"
RIGHT = ("Leopards/", "cougar_")
LABELS = 40
# A policy with mistakes that `lint` finds.
DRAFT = """\
id: weapons.toys
title: Not a toy
prompts: [a gun that is not a toy, a handgun]
threshold: { value: 4.0, provisional: true }
severity: low
action: review
owner: trust-and-safety
mode: shadow
"""


@dataclass(frozen=True)
class Desk:
    """A folder to run commands in: photographs, the shipped policies, an edit of one, and a draft with mistakes."""

    folder: Path
    environment: Mapping[str, str]

    def run(self, *words: str) -> Run:
        """Run watchword as a person does, and return what it printed."""
        run = subprocess.run(
            [*PYTHON, *words],
            cwd=self.folder,
            env={**os.environ, **self.environment, "PYTHONPATH": str(REPOSITORY)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode in (0, 1), run.stderr
        return Run(("watchword", *words), run.stdout)


def main() -> None:
    """Draw every picture."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="watchword-pictures-") as name:
        folder = Path(name)
        _prepare(folder)
        with browser(folder) as chrome:
            _draw_scan(Desk(folder, {}), chrome)
            _draw_archive(folder, chrome)


def _prepare(folder: Path) -> None:
    for kind in SCANNED:
        (folder / "photos" / kind).mkdir(parents=True)
        for path in sorted((SAMPLES / kind).iterdir())[:4]:
            shutil.copyfile(path, folder / "photos" / kind / path.name)
    for name in ("policies", "edited"):
        shutil.copytree(REPOSITORY / "policies", folder / name)
        for file in (folder / name).glob("*.yaml"):
            file.write_text(re.sub(r"(?ms)^examples:.*?(?=^\w|\Z)", "", file.read_text()))
    edited = folder / "edited" / EDITED
    edited.write_text(re.sub(r"value: [-\d.]+", f"value: {EDITED_THRESHOLD}", edited.read_text()))
    (folder / "draft").mkdir()
    (folder / "draft/weapons-toys.yaml").write_text(DRAFT)


def _draw_scan(desk: Desk, chrome: Chrome) -> None:
    """Draw the terminal, and the report with its first pictures clicked."""
    runs = [desk.run("scan", "photos", "--html", "report.html"), desk.run("policies", "lint", "draft")]
    write_terminal(PICTURES / "terminal.svg", runs)
    chrome.get((desk.folder / "report.html").as_uri())
    _uncover(chrome, 4)
    write_screenshot(chrome, PICTURES / "scan.png")


def _draw_archive(folder: Path, chrome: Chrome) -> None:
    """Draw a back-test and the label page, with photographs on a real broker and in an archive."""
    files = sorted(path for path in SAMPLES.rglob("*.jpg") if path.parent.name.startswith(("Leopards", "cougar_")))
    files += sorted(SAMPLES.rglob("*.jpg"))[::8]
    bundle = Bundle.load(BUNDLED_MODEL)
    with own_stack(folder) as stack, Stream(stack, folder, WATCHWORD_ARCHIVE=str(folder / "archive")) as stream:
        archive_photographs(stream, Archive(stream.settings.archive), files, bundle, LocalEncoder(bundle))
        desk = Desk(folder, {**stream.environment, "WATCHWORD_FILE_ROOTS": f'["{SAMPLES.resolve()}"]'})
        desk.run("policies", "backtest", "edited", "--before", "policies", "--html", "backtest.html")
        chrome.get((folder / "backtest.html").as_uri())
        _uncover(chrome, 4)
        write_screenshot(chrome, PICTURES / "backtest.png")
        _draw_label(desk, chrome)


def _draw_label(desk: Desk, chrome: Chrome) -> None:
    """Label some images by keyboard, and draw the page at the next."""
    words = ["policies", "label", POLICY, "--policies", "edited", "--before", "policies", "--count", "100"]
    with subprocess.Popen(
        [*PYTHON, *words, "--reviewer", "ana", "--out", "labels.jsonl"],
        cwd=desk.folder,
        env={**os.environ, **desk.environment, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        found = next(each for line in process.stderr if (each := re.search(r"http://\S+", line)))
        chrome.get(found[0])
        for number in range(LABELS):
            _look(chrome)
            right = str(chrome.execute_script("return state.event")).startswith(RIGHT)
            _press(chrome, "f" if right else "d", f"state.number === {number + 1}")
        _look(chrome)
        write_screenshot(chrome, PICTURES / "label.png")
        process.terminate()


def _look(chrome: Chrome) -> None:
    _press(chrome, Keys.SPACE, "looked && picture.complete && picture.naturalWidth > 8")


def _press(chrome: Chrome, key: str, until: str) -> None:
    ActionChains(chrome).send_keys(key).perform()
    WebDriverWait(chrome, 20, 0.05).until(lambda _: chrome.execute_script(f"return {until}"))


def _uncover(chrome: Chrome, count: int) -> None:
    """Click the first pictures, which are blurred until then."""
    for button in chrome.find_elements(By.CSS_SELECTOR, "button[aria-pressed]")[:count]:
        chrome.execute_script("arguments[0].click()", button)
    chrome.execute_script("scrollTo(0, 0)")


if __name__ == "__main__":
    main()
