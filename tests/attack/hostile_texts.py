"""Hostile policy files."""

import itertools
from collections.abc import Iterator

from tests.attack.children import Attack
from tests.attack.layouts import Layout
from tests.attack.policy_layouts import GOOD, folder_attack, text_attack, with_key, words


def hostile_texts() -> list[Attack]:
    """Return attacks with the content of policy files."""
    return [*_values(), *_documents(), *_bombs(), *_floods(), *_folders()]


def _values() -> Iterator[Attack]:
    """Single values that are invalid, or that crash a careless reader."""
    days = ("2026-02-30", "0000-01-01", "10000-01-01", "2026-13-01", "'2026-02-30T25:00:00'", "20270131", "soon", "0")
    numbers = ("1e999", "-.inf", ".nan", "9" * 5000, "0x" + "f" * 5000, "true", "'2.5 '", "1e-999999999999")
    for value in (*days, "9" * 5000, "1e999"):
        yield text_attack(f"expires {value[:12]}", with_key("expires", value))
    for value in numbers:
        refused = None if value in {"'2.5 '", "1e-999999999999"} else True
        yield text_attack(f"threshold {value[:12]}", with_key("threshold", value), refused=refused)
        yield text_attack(f"value {value[:12]}", with_key("threshold", f"{{ value: {value} }}"), refused=refused)
    for value in ("0/day", "9" * 400 + "/day", "99999999999/hour", "1/year", "-1/day"):
        yield text_attack(f"queue {value[:12]}", with_key("threshold", f"{{ queue: {value} }}"))
    for value in ("0", "-1", "9" * 400, "true", "1.5", "[1]"):
        yield text_attack(f"audit {value[:8]}", with_key("audit", f"{{ per_day: {value} }}"))
    texts = {
        "nul": '"a\\0b"',
        "escape": '"\\e[31m red"',
        "reversed": '"a \\u202e gun"',
        "surrogate": '"\\ud800"',
        "separator only": '"\\x1c"',
        "blank": '"   "',
        "long": "x" * 501,
        "grows when composed": '"' + "\\uFB2C" * 500 + '"',
        "number": "12",
        "nothing": "~",
        "mapping": "{ a: b }",
    }
    for name, value in texts.items():
        yield text_attack(f"prompt {name}", with_key("prompts", f"[{value}]"))
        yield text_attack(f"title {name}", with_key("title", value))
    for value in ("a {x} {}", "{} {}", "{{}}", "{}{", "{0}", "no place", "{!r}"):
        yield text_attack(f"template {value}", with_key("templates", f"['{value}']"))
    for value in ("[]", "{}", "~", "2", "[a, a]", "[a, ' a ']", "[[a]]", "'a'"):
        yield text_attack(f"prompts {value}", with_key("prompts", value))
    for value in ("a b", "a..b", "A", "'../x'", "[a]", "~", "é", "a" * 101):
        yield text_attack(f"id {value[:12]}", with_key("id", value))


def _documents() -> Iterator[Attack]:
    """Texts that are not a document of keys and values."""
    for name, text in {
        "empty": "",
        "only a comment": "# nothing\n",
        "a list": "- a\n- b\n",
        "a word": "hello",
        "a number": "12",
        "two documents": GOOD + "---\n" + GOOD,
        "a tab": "id:\n\tweapons: 1\n",
        "unclosed list": GOOD.replace("[a stapler]", "[a stapler"),
        "unclosed quote": GOOD.replace("Firearms", "'Firearms"),
        "a key twice": GOOD + "owner: other\n",
        "a key that is a list": GOOD + "? [a, b]\n: c\n",
        "a merge of a word": "<<: word\n" + GOOD,
        "a python tag": GOOD + "rationale: !!python/object/apply:os.system ['true']\n",
        "a python name": GOOD + "rationale: !!python/name:os.system ''\n",
        "a timestamp tag": GOOD + "expires: !!timestamp 2026-99-99\n",
        "a binary tag": GOOD + "rationale: !!binary =====\n",
        "a set tag": "!!set " + "{ a, b }",
        "an own tag": GOOD + "rationale: !secret x\n",
        "tag directives": "".join(f"%TAG !a{n}! x\n" for n in range(40_000)) + "---\n" + GOOD,
        "a version to come": "%YAML 9.9\n---\n" + GOOD,
        "an alias of nothing": GOOD + "rationale: *nothing\n",
        "a zero byte": GOOD + "rationale: a\0b\n",
        "an escape byte": GOOD + "rationale: a\x1b[2Jb\n",
        "a c1 byte": GOOD + "rationale: a\x9b2Jb\n",
        "a key of a megabyte": "x" * 900_000 + ": 1\n",
    }.items():
        yield text_attack(name, text)
    yield text_attack("latin 1", GOOD.replace("Firearms", "Gewehre und Stühle").encode("latin-1"))
    yield text_attack("utf-16", GOOD.encode("utf-16"))
    yield text_attack("a lone surrogate", GOOD.replace("Firearms", "\ud800"))
    yield text_attack("random bytes", bytes(range(256)) * 100)


def _bombs() -> Iterator[Attack]:
    """Small files that are large when they are written out, and deep ones."""
    names = "abcdefghijklmnopqrstuvwxyz"
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in itertools.pairwise(names[:10])
    )
    for key in ("severity", "id", "scope", "prompts", "threshold", "labels", "expires", "extends", "title", "children"):
        yield text_attack(f"alias bomb as {key}", bomb + with_key(key, "*j"))
    scopes = "s0: &s0 { a: b }\n" + "".join(f"s{n}: &s{n} {{ all: [*s{n - 1}, *s{n - 1}] }}\n" for n in range(1, 26))
    yield text_attack("alias bomb of conditions", scopes + with_key("scope", "*s25"))
    yield text_attack("an alias in itself", "x: &x [*x]\n" + GOOD)
    yield text_attack("keys in themselves", "x: &x { a: *x }\n" + GOOD)
    merges = "".join(f"m{n}: &m{n} {{ <<: [{', '.join([f'*m{n - 1}'] * 9)}] }}\n" for n in range(1, 12))
    yield text_attack("merges of merges", "m0: &m0 { a: 1 }\n" + merges + GOOD)
    for count in (33, 500, 3_000, 200_000):
        yield text_attack(f"{count} lists deep", GOOD + "rationale: " + "[" * count)
        yield text_attack(f"{count} closed lists deep", GOOD + "rationale: " + "[" * count + "]" * count + "\n")
        yield text_attack(f"{count} mappings deep", GOOD + "scope: " + "{ not: " * count)
        yield text_attack(f"{count} dashes deep", "- " * count)
    block = "".join(f"{'  ' * n}not:\n" for n in range(600))
    yield text_attack("600 blocks deep", GOOD + "scope:\n  " + block.replace("\n", "\n  "))


def _floods() -> Iterator[Attack]:
    """Many of something."""
    for count in (2_000, 20_000, 80_000):
        yield text_attack(f"{count} unknown keys", GOOD + "".join(f"tresh{n}: 1\n" for n in range(count)))
    for count in (9_999, 30_000, 100_000):
        yield text_attack(
            f"{count} prompts, one twice", with_key("prompts", f"[{', '.join(map(str, words(count)))}, w1]")
        )
    yield text_attack("40000 prompts that are numbers", with_key("prompts", f"[{'1,' * 40_000}]"))
    yield text_attack("400000 nothings", with_key("prompts", f"[{'~,' * 400_000}]"))
    yield text_attack("a key 50000 times", GOOD + "owner: x\n" * 50_000)
    yield text_attack(
        "990 keys of 60 letters", GOOD + "".join(f"{'thresholdthreshold' * 3}{n:06}: 1\n" for n in range(990))
    )
    yield text_attack("2000 conditions", with_key("scope", "{ any: [" + "{ a: b }, " * 2_000 + "] }"))
    yield text_attack("5000 patterns", with_key("scope", "{ a: [" + ", ".join(words(5_000)) + "] }"))
    child = "- {{ id: c{}, title: t, prompts: [p], threshold: 1, severity: low }}\n"
    yield text_attack("1000 children", GOOD + "children:\n" + "".join(child.format(n) for n in range(1_000)))
    yield text_attack(
        "1000 labels that are lists", with_key("labels", "{" + ", ".join(f"a{n}: []" for n in range(999)) + "}")
    )
    yield text_attack("a rationale of a megabyte", GOOD + "rationale: " + "word " * 200_000)
    yield text_attack("a million empty lines, then a mistake", "\n" * 1_000_000 + GOOD.replace("title", "tilte"))
    yield text_attack("a mistake at the end of a long line", GOOD + "rationale: {" + " " * 900_000 + "a: b}\n")
    yield text_attack("20 megabytes", b"#" * (20 << 20))
    yield text_attack("a megabyte of commas in braces", "{" + "," * 900_000)
    yield text_attack("a megabyte of anchors", "".join(f"k{n}: &a{n} 1\n" for n in range(60_000)))
    yield text_attack("a megabyte of question marks", "? " * 400_000)
    yield text_attack("a megabyte of colons", "a: " * 300_000)


def _folders() -> Iterator[Attack]:
    """Many files, and many of what one file gives to others."""
    used = with_key("prompts", f"[{'{ use: many }, ' * 1_000}]")
    shared = f"phrases: {{ many: [{', '.join(words(1_000))}] }}\n"
    yield folder_attack("a list of 1000 used 1000 times", {"shared.yaml": shared, "x.yaml": used})
    bases = {
        "200 mistakes": "".join(f"wrong{n}: 1\n" for n in range(200)),
        "300 conditions": "scope: { any: [" + "{ a: b }, " * 300 + "] }\n",
        "900 prompts": f"contrast: [{', '.join(words(900))}]\n",
    }
    for name, base in bases.items():
        heirs = _policies(3_000, "extends: _base\n", "contrast: [a stapler]\n")
        yield folder_attack(f"{name} inherited by 3000 policies", {"_base.yaml": base, **heirs})
    row: Layout = {f"p{n}.yaml": f"extends: weapons.f{n + 1}\n{_named(n)}" for n in range(2_000)}
    yield folder_attack("2000 policies that extend each other", {**row, "p1999.yaml": _named(1_999)})
    yield folder_attack("10001 files", {f"p{n}.yaml": "" for n in range(10_001)})
    wrong: Layout = {f"p{n}.yaml": _named(n).replace("medium", "huge") for n in range(3_000)}
    yield folder_attack("3000 files with a mistake each", wrong)
    large = with_key("examples", f"[{'a,' * 40_000}]")
    yield folder_attack("20 files of 40000 values", {f"p{n}.yaml": large for n in range(20)})
    lost: Layout = {f"p{n}.yaml": f"extends: weapons.firearmz{n:04}\n{_named(n)}" for n in range(2_000)}
    yield folder_attack("2000 policies that extend an unknown one", lost)


def _policies(count: int, before: str = "", without: str = "") -> Layout:
    return {f"p{n}.yaml": before + _named(n).replace(without, "") for n in range(count)}


def _named(number: int) -> str:
    return GOOD.replace("firearms", f"f{number}")
