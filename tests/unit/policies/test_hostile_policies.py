"""A policy folder may hold anything: each mistake is reported at its position, quickly, and has no other effect."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import PolicyError
from pipeline.policies.load import load_policy_set
from tests.attack.layouts import Layout, Link, Odd, lay
from tests.attack.policy_layouts import GOOD, with_key, words


def report(folder: Path, layout: Layout) -> str:
    lay(folder, layout)
    with pytest.raises(PolicyError) as caught:
        load_policy_set(folder)
    return str(caught.value).replace(f"{folder}/", "")


def first_line(folder: Path, text: str) -> str:
    return report(folder, {"x.yaml": text}).splitlines()[0]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("2026-02-30", "x.yaml:10:10: `expires`: input should be a valid date or datetime, day value is outside"),
        ("20270131", "x.yaml:10:10: `expires`: expected a date, such as 2027-01-31"),
        ("0", "x.yaml:10:10: `expires`: expected a date, such as 2027-01-31"),
        ("9" * 5000, "x.yaml:10:10: `expires`: expected a date, such as 2027-01-31"),
    ],
)
def test_an_impossible_date_is_reported_like_any_mistake(tmp_path: Path, value: str, shown: str) -> None:
    assert first_line(tmp_path, with_key("expires", value)).startswith(shown)


def test_a_stray_indent_in_a_list_is_reported_where_it_is(tmp_path: Path) -> None:
    """YAML silently joins both lines to one prompt."""
    found = report(tmp_path, {"x.yaml": GOOD.replace("[a revolver, a handgun]", "\n- a chandelier\n - a crystal lamp")})
    assert (
        found
        == """\
x.yaml:5:2: joined to the line before as one text, did you mean two entries? indent its `-` like the one before
    5 |  - a crystal lamp
      |  ^^^^^^^^^^^^^^^^"""
    )


@pytest.mark.parametrize(
    "text",
    [
        with_key("prompts", "\n- a chandelier\n  a crystal lamp"),
        with_key("prompts", "[a chandelier\n  a crystal lamp]"),
        with_key("scope", "{ surface: listing\n   avatar }"),
        with_key("scope", "\n  surface:\n  - listing\n   - avatar"),
        with_key("action", "review\n - and hold"),
    ],
)
def test_accidentally_joined_lines_are_reported(tmp_path: Path, text: str) -> None:
    assert "joined to the line before" in report(tmp_path, {"x.yaml": text})


@pytest.mark.parametrize(
    ("text", "prompt"),
    [
        (with_key("prompts", "\n- a chandelier - a crystal lamp"), "a chandelier - a crystal lamp"),
        (with_key("prompts", '\n- "a chandelier\n   - a crystal lamp"'), "a chandelier - a crystal lamp"),
        (with_key("prompts", "\n- >-\n  a chandelier\n  and a lamp"), "a chandelier and a lamp"),
        (with_key("title", "guns\n  and rifles"), "a handgun"),
    ],
)
def test_a_dash_within_a_line_and_an_intended_multi_line_text_pass(tmp_path: Path, text: str, prompt: str) -> None:
    lay(tmp_path, {"x.yaml": text})
    assert load_policy_set(tmp_path).policies[0].prompts[0] == prompt


@pytest.mark.parametrize("name", ["x.yml", "x.YAML", "x.yaml.txt", "background.yml"])
def test_a_file_that_would_be_ignored_is_reported(tmp_path: Path, name: str) -> None:
    """A policy that is silently ignored would be the worst outcome."""
    found, stem = report(tmp_path, {"a.yaml": GOOD, name: GOOD}), name.split(".", maxsplit=1)[0]
    assert found == f"{name}:1:1: ignored, because its name does not end in `.yaml`; rename it to `{stem}.yaml`"


def test_backups_of_editors_are_no_policies(tmp_path: Path) -> None:
    lay(tmp_path, {"x.yaml": GOOD, "x.yaml~": "[", ".x.yaml.swp": b"\0", "README.md": "#"})
    assert len(load_policy_set(tmp_path).policies) == 1


def test_aliases_are_counted_before_they_are_expanded(tmp_path: Path) -> None:
    bomb = "".join(f"b{n}: &b{n} [{', '.join([f'*b{n - 1}'] * 9)}]\n" for n in range(1, 26))
    for key in ("id", "severity", "scope", "prompts"):
        found = first_line(tmp_path, "b0: &b0 [x]\n" + bomb + with_key(key, "*b25"))
        assert "more than 50,000 values, what `*` repeats counted each time" in found


@pytest.mark.parametrize("text", ["[" * 100_000, "- " * 100_000, "{ not: " * 1_000])
def test_deep_files_are_refused_at_their_33rd_level(tmp_path: Path, text: str) -> None:
    assert "nested deeper than 32 levels" in first_line(tmp_path, text)


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system ['true']", "!!timestamp 2026-99-99", "!own x"])
def test_tags_are_refused(tmp_path: Path, tag: str) -> None:
    assert first_line(tmp_path, GOOD + f"rationale: {tag}\n").startswith("x.yaml:10:12: tags are not allowed")


def test_merged_keys_count_as_written_in_place(tmp_path: Path) -> None:
    text = "x-y: &base { severity: huge }\n<<: *base\n" + GOOD.replace("severity: medium\n", "")
    assert "x.yaml:1:24: `huge` is not a value of `severity`" in report(tmp_path, {"x.yaml": text})


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (GOOD.encode() + b"rationale: a\0b\n", "x.yaml:10:13: a character that YAML does not admit, U+0000"),
        (GOOD.encode() + b"rationale: \xff\n", "x.yaml:10:12: byte 0xff is not UTF-8; save the file as UTF-8"),
        (GOOD.encode("utf-16"), "x.yaml:1:1: byte 0xff is not UTF-8; save the file as UTF-8"),
        (b"#" * (2 << 20), "x.yaml:1:1: cannot be read: larger than 1,048,576 bytes"),
    ],
)
def test_a_value_that_is_not_text_is_refused_with_its_position(tmp_path: Path, data: bytes, shown: str) -> None:
    assert report(tmp_path, {"x.yaml": data}).splitlines()[0] == shown


@pytest.mark.parametrize("odd", [Odd.FIFO, Odd.FOLDER, Odd.SOCKET, Link("/dev/zero"), Link("/dev/tty")])
def test_a_special_file_is_refused_without_waiting(tmp_path: Path, odd: Odd | Link) -> None:
    layout: Layout = {"x.yaml": odd}
    assert report(tmp_path, layout) == "x.yaml:1:1: cannot be read: not a regular file"


def test_a_link_in_a_circle_is_reported(tmp_path: Path) -> None:
    assert "Too many levels of symbolic links" in report(tmp_path, {"x.yaml": Link("x.yaml")})


@pytest.mark.parametrize("head", ["../h.json", "/etc/shadow", "heads/../../h.json", "heads/out"])
def test_a_head_must_be_in_the_folder_of_its_policy(tmp_path: Path, head: str) -> None:
    text = GOOD + f"score: linear\nhead: {head}\n"
    found = report(tmp_path, {"x.yaml": text, "heads/out": Link("/etc/hostname")})
    assert found.startswith("x.yaml:11:7: `head` ")


@pytest.mark.parametrize("weights", ["[NaN]", "[1e999]", "[1e300]", "[]"])
def test_a_head_whose_scores_would_not_be_finite_is_refused(tmp_path: Path, weights: str) -> None:
    head = f'{{"weights": {weights}, "bias": 0, "model": "{"a" * 64}", "data": "d", "average_precision": null}}'
    assert "is not a valid head" in report(tmp_path, {"x.yaml": GOOD + "score: linear\nhead: h.json\n", "h.json": head})


def test_a_calibration_of_another_policy_is_reported(tmp_path: Path) -> None:
    lay(tmp_path, {"x.yaml": GOOD, "calibrations/weapons.firearms.json": Odd.FIFO})
    with pytest.raises(PolicyError, match=r"firearms\.json:1:1: not a valid calibration: not a regular file; fit"):
        load_policy_set(tmp_path)


def test_many_mistakes_are_shown_in_part(tmp_path: Path) -> None:
    found = report(tmp_path, {"x.yaml": GOOD + "".join(f"wrong{n}: 1\n" for n in range(500))}).split("\n\n")
    assert len(found) == 21
    assert found[-1] == "x.yaml: … and 480 more"


def test_an_inherited_mistake_is_shown_once(tmp_path: Path) -> None:
    heirs: Layout = {f"p{n}.yaml": "extends: _base\n" + GOOD.replace("firearms", f"f{n}") for n in range(30)}
    found = report(tmp_path, {"_base.yaml": "tresh: 1\n", **heirs})
    assert found.count("unknown key `tresh`") == 1


def test_repeated_use_of_a_shared_list_is_bounded(tmp_path: Path) -> None:
    shared = f"phrases: {{ many: [{', '.join(words(1_000))}] }}\n"
    found = report(tmp_path, {"shared.yaml": shared, "x.yaml": with_key("prompts", f"[{'{ use: many }, ' * 1_000}]")})
    assert "more than 10,000 entries with what is used" in found


@pytest.mark.parametrize("name", [b"\xff.yaml", b"a\nb.yaml", b"\x1b[2J.yaml", "\u202elmay.yaml".encode()])
def test_a_name_never_controls_a_terminal(tmp_path: Path, name: bytes) -> None:
    found = report(tmp_path, {name: GOOD.replace("title", "tilte")})
    assert all(character.isprintable() or character == "\n" for character in found)
    assert found.splitlines()[0].endswith(".yaml:2:1: unknown key `tilte`, did you mean `title`?")


@pytest.mark.parametrize("prompt", ['"a\\e[2J"', '"a \\u202e gun"', '"\\x1c"', '"\\0"'])
def test_a_prompt_has_no_invisible_characters(tmp_path: Path, prompt: str) -> None:
    assert "`prompts.0`: a control character" in first_line(tmp_path, with_key("prompts", f"[{prompt}]"))


@pytest.mark.parametrize("template", ["a {x} {}", "{} {}", "{{}}", "{.__class__}"])
def test_a_template_has_one_placeholder_and_no_other_braces(tmp_path: Path, template: str) -> None:
    assert "a template must contain `{}` once" in first_line(tmp_path, with_key("templates", f"['{template}']"))


@pytest.mark.parametrize("make", [lambda folder: folder / "nowhere", lambda folder: folder / "a\0b"])
def test_a_path_that_is_not_a_folder_is_refused_by_every_command(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    with pytest.raises(PolicyError, match="not a folder; give a folder of policy files"):
        load_policy_set(make(tmp_path))


def test_a_folder_that_may_not_be_listed_is_an_error_of_the_folder(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to("loop")
    with pytest.raises(PolicyError, match="cannot be listed: Too many levels of symbolic links"):
        load_policy_set(loop)
