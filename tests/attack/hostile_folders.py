"""Hostile policy folders, and valid ones that look hostile."""

from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.policies.load import load_policy_set
from tests.attack.children import Attack
from tests.attack.hostile_texts import hostile_texts
from tests.attack.layouts import Layout, Link, Odd
from tests.attack.policy_layouts import GOOD, folder_attack, text_attack, with_key, words

_DIGEST = "a" * 64


def hostile_folders() -> list[Attack]:
    """Return every attack on the reading of a policy folder."""
    return [*hostile_texts(), *_joins(), *_names(), *_odd_files(), *_links(), *_beside(), *_fine()]


def _joins() -> Iterator[Attack]:
    """Entries that YAML joins to one text without a word."""
    for key in ("prompts", "contrast", "templates"):
        yield text_attack(f"a stray indent in {key}", with_key(key, "\n- a chandelier {}\n - a crystal lamp"))
        yield text_attack(f"a lost dash in {key}", with_key(key, "\n- a chandelier\n  a crystal lamp {}"))
        yield text_attack(f"a lost comma in {key}", with_key(key, "[a chandelier\n  a crystal lamp]"))
    prompts = {
        "a stray indent after a comment": "\n# lamps\n- a chandelier\n\n - a lamp",
        "a stray indent with a tab": "\n- a chandelier\n \t- a lamp",
        "a stray dash alone": "\n- a chandelier\n -\n - a lamp",
    }
    for name, value in prompts.items():
        yield text_attack(name, with_key("prompts", value))
    yield text_attack("entries under a word", with_key("action", "review\n - and more"))
    yield text_attack("patterns under a word", with_key("scope", "{ surface: listing\n   avatar }"))
    yield text_attack("patterns with a stray indent", with_key("scope", "\n  surface:\n  - listing\n   - avatar"))
    shared = "phrases:\n  lamps:\n  - a chandelier\n   - a lamp\n"
    yield folder_attack("a stray indent in a shared list", {"x.yaml": GOOD, "shared.yaml": shared})
    background = "prompts:\n- a tree\n - a house\n"
    yield folder_attack("a stray indent in the background", {"x.yaml": GOOD, "background.yaml": background})


def _names() -> Iterator[Attack]:
    """File names that are nearly right, and ones that a terminal should not be given."""
    for name in ("x.yml", "x.YAML", "x.Yml", "x.yaml.txt", "background.yml", "shared.YML", "_base.yml"):
        yield folder_attack(f"beside: {name}", {"a.yaml": GOOD, name: GOOD})
    wrong = GOOD.replace("title", "tilte")
    for odd in (b"\xff\xfe.yaml", b"a\nb.yaml", b"\x1b[2J.yaml", b"a:1:1: fine.yaml", "\u202elmay.yaml".encode()):
        yield folder_attack(f"a mistake in {odd!r}", {odd: wrong})


def _odd_files() -> Iterator[Attack]:
    """Files that are not regular files."""
    for name in ("x.yaml", "shared.yaml", "background.yaml"):
        yield folder_attack(f"a fifo {name}", {"a.yaml": GOOD, name: Odd.FIFO})
    yield folder_attack("a fifo for the folder of heads", {"x.yaml": _headed("heads/h.json"), "heads": Odd.FIFO})
    yield folder_attack("a fifo as head", {"x.yaml": _headed("h.json"), "h.json": Odd.FIFO})
    yield folder_attack("a fifo for the folder of calibrations", {"x.yaml": GOOD, "calibrations": Odd.FIFO})
    yield folder_attack("a fifo as calibration", {"x.yaml": GOOD, "calibrations/weapons.firearms.json": Odd.FIFO})
    yield folder_attack("a folder x.yaml", {"x.yaml": Odd.FOLDER})
    yield folder_attack("a socket x.yaml", {"x.yaml": Odd.SOCKET})
    yield folder_attack("an empty folder", {})
    yield Attack("no folder", _nowhere)


def _nowhere(folder: Path) -> Callable[[], object]:
    return lambda: load_policy_set(folder / "nowhere")


def _links() -> Iterator[Attack]:
    """Links to what never ends, leads nowhere, or lies elsewhere."""
    targets = (
        "/dev/zero",
        "/dev/random",
        "/dev/tty",
        "/proc/kmsg",
        "/proc/self/mem",
        "/nowhere",
        "x.yaml",
        "/proc",
    )
    for target in targets:
        yield folder_attack(f"x.yaml to {target}", {"x.yaml": Link(target)})
    beside: Layout = {"heads/zero": Link("/dev/zero"), "heads/out": Link("/etc/hostname")}
    for head in ("../head.json", "/dev/zero", "/etc/shadow", "heads/../../x", "a\\0b", "heads/zero", "heads/out", "."):
        yield folder_attack(f"head {head}", {"x.yaml": _headed(head), **beside})
    yield folder_attack("head in a circle", {"x.yaml": _headed("h.json"), "h.json": Link("h.json")})


def _headed(head: str) -> str:
    return GOOD + f'score: linear\nhead: "{head}"\n'


def _beside() -> Iterator[Attack]:
    """Invalid heads and calibrations."""
    whole = f'"bias": 0, "model": "{_DIGEST}", "data": "d", "average_precision": null'
    for name, text in {
        "no json": "{",
        "deep": "[" * 100_000,
        "not finite": f'{{"weights": [NaN], {whole}}}',
        "too large": f'{{"weights": [1e300], {whole}}}',
        "infinite": f'{{"weights": [1e999], {whole}}}',
        "empty": f'{{"weights": [], {whole}}}',
        "lists": f'{{"weights": [{", ".join(["[]"] * 20_000)}], {whole}}}',
        "unknown keys": "{" + ", ".join(f'"a{n}": 1' for n in range(45_000)) + "}",
        "a huge number": f'{{"weights": [{"9" * 500_000}], {whole}}}',
        "5 megabytes": " " * (5 << 20),
    }.items():
        yield folder_attack(f"head: {name}", {"x.yaml": _headed("h.json"), "h.json": text})
        yield folder_attack(f"calibration: {name}", {"x.yaml": GOOD, "calibrations/weapons.firearms.json": text})
    knots = '{"method": "isotonic", "knots": [' + "[], " * 15_000 + "[]]}"
    wrong = '{"policy": "weapons.firearms", "probability": ' + knots + "}"
    yield folder_attack("calibration: knots", {"x.yaml": GOOD, "calibrations/weapons.firearms.json": wrong})


def _fine() -> Iterator[Attack]:
    """Folders that look hostile and are in fact fine."""
    texts: dict[str, str | bytes] = {
        "as it is": GOOD,
        "a byte order mark": b"\xef\xbb\xbf" + GOOD.encode(),
        "CRLF": GOOD.replace("\n", "\r\n"),
        "a dash within a line": with_key("prompts", "\n- a chandelier - a lamp"),
        "a dash within quotes": with_key("prompts", '\n- "a chandelier\n   - a lamp"'),
        "folded text": with_key("prompts", "\n- >\n  a chandelier\n  - a lamp"),
        "a title of two lines": with_key("title", "guns\n  and rifles"),
        "an alias": with_key("title", "&t Guns") + "rationale: *t\n",
        "off is a word": GOOD + "labels: { on: off, 2024: yes }\n",
        "the last day there is": with_key("expires", "9999-12-31"),
        "a day without zeros": with_key("expires", "2027-1-3"),
        "every script": with_key("prompts", "[犬の写真, 'صورة', 🐕, é]"),
        "3000 prompts": with_key("prompts", f"[{', '.join(words(3_000))}]"),
    }
    for name, text in texts.items():
        yield text_attack(f"fine: {name}", text, refused=False)
    many: Layout = {f"p{n}.yaml": GOOD.replace("firearms", f"f{n}") for n in range(500)}
    yield folder_attack("fine: 500 policies", many, refused=False)
    others: Layout = {"README.md": "#", "x.yaml~": "[", ".x.yaml.swp": b"\0"}
    yield folder_attack("fine: other files beside", {"x.yaml": GOOD, **others}, refused=False)
    linked: Layout = {"..data/x.yaml": GOOD, "x.yaml": Link("..data/x.yaml")}
    yield folder_attack("fine: a link within, as Kubernetes makes", linked, refused=False)
