"""Tables of captions and terms: a hostile or malformed file is refused with its position, before any expansion."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.cli.main import app
from pipeline.encode.bundle import Bundle
from pipeline.errors import UsageError
from pipeline.models.captions import Captions
from pipeline.models.evaluation.bias import IdentityTerms
from pipeline.models.text_tables import read_table, texts_by_key

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefghi", "bcdefghij", strict=True)
)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "table.yaml"


def test_aliases_that_multiply_are_refused_before_they_are_expanded(table: Path) -> None:
    """The file has half a kilobyte and would expand to nine to the tenth texts."""
    table.write_text(LAUGHS)
    for read in (read_table, Captions.load, IdentityTerms.load):
        with pytest.raises(UsageError, match=r"table\.yaml:\d+:\d+: more than 50,000 values"):
            read(table)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [b\n", "table.yaml:2:1: did not find expected"),
        ("a: [b]\na: [c]\n", "key `a` is written twice"),
        ("a: !!python/object:os.system [b]\n", "tags are not allowed"),
        ("- a\n", "expected keys and values"),
    ],
)
def test_a_malformed_table_is_reported(text: str, message: str, table: Path) -> None:
    table.write_text(text)
    with pytest.raises(UsageError) as refused:
        read_table(table)
    assert message in str(refused.value)


def test_a_file_that_never_ends_is_not_read() -> None:
    with pytest.raises(UsageError, match="not a regular file"):
        read_table(Path("/dev/zero"))


@pytest.mark.parametrize("value", ["word", "[1, 2]", "[]", "{c: d}", ""])
def test_a_key_without_a_list_of_texts_is_named(value: str, table: Path) -> None:
    table.write_text(f"watch: {value}\n")
    with pytest.raises(UsageError, match="expected a list of texts for `watch`"):
        texts_by_key(table, read_table(table))


def test_an_empty_table_has_no_texts(table: Path) -> None:
    table.write_text("# none\n")
    assert texts_by_key(table, read_table(table)) == {}


def test_hostile_paraphrases_stop_an_evaluation(table: Path, samples: Path, policies: Path, bundle: Bundle) -> None:
    table.write_text(LAUGHS)
    words = ["models", "evaluate", str(bundle.folder), "--data", str(samples), "--policies", str(policies)]
    run = CliRunner().invoke(app, [*words, "--paraphrases", str(table)])
    assert isinstance(run.exception, UsageError)
    assert "more than 50,000 values" in str(run.exception)
