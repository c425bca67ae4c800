"""The label page in a real browser, by keyboard alone: originals from the broker, decisions back to it."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import httpx
import pytest
from selenium.webdriver import ActionChains, Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from pipeline.archive.dataset import Archive
from pipeline.encode.bundle import Bundle
from pipeline.encode.local import LocalEncoder
from tests.support.archived import archive_photographs
from tests.support.archiving import PYTHON
from tests.support.publishing import two_policies, with_threshold
from tests.support.stream import Stack, Stream
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration

POLICY = "weapons.firearms"
RIGHT = "revolver/"


@pytest.fixture(scope="module")
def stream(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory, samples: Path, bundle: Bundle, encoder: LocalEncoder
) -> Iterator[Stream]:
    """A stream of 300 photographs, all archived, and an edit of a policy in `edited`."""
    folder = tmp_path_factory.mktemp("label")
    files = sorted((samples / "images/revolver").iterdir())
    files += [path for path in sorted((samples / "images").rglob("*.jpg"))[::5] if path.parent.name != "revolver"]
    with_threshold(two_policies(folder / "edited"), 1.5)
    with Stream(
        stack,
        folder,
        WATCHWORD_ARCHIVE=str(folder / "archive"),
        WATCHWORD_POLICIES=str(two_policies(folder / "policies")),
        WATCHWORD_FILE_ROOTS=json.dumps([str(samples.resolve())]),
    ) as stream:
        archive_photographs(stream, Archive(stream.settings.archive), files[:300], bundle, encoder)
        yield stream


class Command:
    """The command, and the address it prints."""

    def __init__(self, stream: Stream, out: Path) -> None:
        words = ["policies", "label", POLICY, "--policies", str(stream.folder / "edited"), "--reviewer", "ana"]
        options = ["--before", str(stream.folder / "policies"), "--count", "120", "--out", str(out)]
        self.process = subprocess.Popen(
            [*PYTHON, *words, *options],
            env={**os.environ, **stream.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        self.told: list[str] = []
        found = None
        for line in self.process.stderr:
            self.told.append(line)
            if found := re.search(r"http://\S+", line):
                break
        assert found, "the command ended without an address"
        self.address = found[0]


class Page:
    """A browser on the page."""

    def __init__(self, browser: Chrome, address: str) -> None:
        self.browser = browser
        browser.get(address)
        browser.execute_script("performance.setResourceTimingBufferSize(2000)")

    def press(self, key: str) -> None:
        ActionChains(self.browser).send_keys(key).perform()

    def state(self) -> dict[str, object]:
        return dict(self.browser.execute_script("return state"))

    def figures(self) -> list[dict[str, str]]:
        return list(self.browser.execute_script("return state.figures"))

    def look(self) -> None:
        """Ask for the image and wait until it is there."""
        self.press(Keys.SPACE)
        self._settled(lambda: self.browser.execute_script("return looked"))

    def answer(self, key: str) -> None:
        number = self.state()["number"]
        self.press(key)
        self._settled(lambda: self.state()["number"] != number)

    def picture(self) -> dict[str, int]:
        script = "return {width: picture.naturalWidth, blurred: +picture.matches('.blurred')}"
        return dict(self.browser.execute_script(script))

    def sent_clear(self) -> set[int]:
        """Which images the browser has asked for unblurred."""
        script = "return performance.getEntriesByType('resource').map(each => each.name)"
        names = self.browser.execute_script(script)
        return {int(name.rsplit("/", 1)[1]) for name in names if "/clear/" in name}

    def _settled(self, condition: object) -> None:
        assert callable(condition)
        WebDriverWait(self.browser, 10, 0.02).until(lambda _: condition())


def test_sixty_labels_by_keyboard_alone_and_none_unblurred_before_it_is_asked_for(
    stream: Stream, chromium: Chrome, tmp_path: Path
) -> None:
    """At desktop width; at a phone's it is fewer, for the time it takes."""
    labels = 60 if chromium.get_window_size()["width"] > 1000 else 10
    command = Command(stream, tmp_path / "labels.jsonl")
    page = Page(chromium, command.address)
    script = (resources.files("axe_core_python") / "axe.min.js").read_text()
    chromium.execute_script(script)
    _no_serious_fault(chromium)
    width, inner = chromium.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
    assert width <= inner

    page.press("f")
    assert "Look first" in chromium.find_element(By.ID, "note").text, "nobody answers what was not seen"
    looked: set[int] = set()
    for number in range(labels + 2):
        assert page.state()["number"] == number
        WebDriverWait(chromium, 10, 0.02).until(lambda _: page.picture()["width"] > 0)
        assert page.picture()["width"] <= 8
        assert page.picture()["blurred"] == 1
        assert number not in page.sent_clear()
        if number == labels:
            page.answer("s")
            continue
        page.look()
        looked.add(number)
        assert page.picture()["blurred"] == 0
        if number == 0:
            _no_serious_fault(chromium)
            chromium.save_screenshot(str(tmp_path / "looking.png"))
        event = str(page.state()["event"])
        page.answer("u" if number == labels + 1 else "f" if event.startswith(RIGHT) else "d")
    assert page.sent_clear() == looked
    page.press("z")
    WebDriverWait(chromium, 10).until(lambda _: page.state()["number"] == labels + 1)
    assert page.state()["answers"] == {**_counts(tmp_path / "labels.jsonl"), "unsure": 0, "skip": 1}

    chromium.save_screenshot(str(tmp_path / "labelled.png"))
    page.press("q")
    out, _ = command.process.communicate(timeout=30)
    assert command.process.returncode == 0
    decided = [json.loads(line) for line in (tmp_path / "labels.jsonl").read_text().splitlines()]
    assert len(decided) == labels
    assert all(each["ruling"] in ("upheld", "missed") for each in decided if each["event_id"].startswith(RIGHT))
    assert all(each["ruling"] in ("overturned", "passed") for each in decided if not each["event_id"].startswith(RIGHT))
    assert {each["reviewer"] for each in decided} == {"ana"}
    assert all(0 < each["probability"] <= 1 for each in decided)
    assert f"{labels} decisions sent" in out
    told = [json.loads(record.value or b"") for record in stream.records(stream.settings.topic_decisions)]
    assert {each["event_id"] for each in decided} <= {each["event_id"] for each in told}
    share, lower, upper = map(float, re.findall(r"\d\.\d\d", re.search(r"precision: .*", out)[0])[:3])  # type: ignore[index]
    assert lower <= share <= upper
    assert re.search(r"newly flagged: \d+ images, about", out)


def test_a_second_session_counts_what_the_first_decided_and_shows_none_of_it_again(
    stream: Stream, chromium: Chrome, tmp_path: Path
) -> None:
    seen: list[set[str]] = []
    counted: list[int] = []
    for name in ("first.jsonl", "second.jsonl"):
        command = Command(stream, tmp_path / name)
        page = Page(chromium, command.address)
        [figure] = [each["text"] for each in page.figures() if each["name"] == "labels"]
        counted.append(int(figure.partition(",")[0]))
        for _ in range(4):
            page.look()
            page.answer("f" if str(page.state()["event"]).startswith(RIGHT) else "d")
        page.press("q")
        out, _ = command.process.communicate(timeout=30)
        assert "next: watchword policies calibrate weapons.firearms" in out
        seen.append({json.loads(line)["event_id"] for line in (tmp_path / name).read_text().splitlines()})
    assert counted[1] == counted[0] + 4
    assert len(seen[0] | seen[1]) == 8
    assert f"{counted[1]} earlier decisions counted (ana; the last " in "".join(command.told)


def test_who_does_not_know_the_address_gets_nothing(stream: Stream, tmp_path: Path) -> None:
    command = Command(stream, tmp_path / "labels.jsonl")
    place = command.address.split("/")[2]
    assert httpx.get(f"http://{place}/").status_code == 404
    assert httpx.get(f"http://{place}/state").status_code == 404
    assert httpx.get(command.address, headers={"host": "evil.example"}).status_code == 404
    form = httpx.post(f"{command.address}finish", data={"a": "b"})
    assert form.status_code == 400, "a form of another site's"
    policy = httpx.get(command.address).headers["content-security-policy"]
    assert "default-src 'none'" in policy
    command.process.terminate()
    out, _ = command.process.communicate(timeout=30)
    assert "nothing was decided" in out
    assert not (tmp_path / "labels.jsonl").exists()


def _no_serious_fault(browser: Chrome) -> None:
    found = browser.execute_async_script("axe.run().then(arguments[arguments.length - 1])")
    faults = [each for each in found["violations"] if each["impact"] in ("serious", "critical")]
    assert not faults, [(each["id"], [node["html"] for node in each["nodes"]]) for each in faults]


def _counts(file: Path) -> dict[str, int]:
    wait_until(file.exists, 10, "the file of labels")
    rulings = [json.loads(line)["ruling"] for line in file.read_text().splitlines()]
    right = sum(ruling in ("upheld", "missed") for ruling in rulings)
    return {"flag": right, "fine": len(rulings) - right}
