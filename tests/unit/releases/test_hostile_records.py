"""Foreign records and files are read completely or refused by name, without another exception and without waiting."""

import json
from pathlib import Path

import pytest
from transformers import CLIPConfig

from pipeline.archive.dataset import Archive
from pipeline.archive.rows import ArchivedEmbedding
from pipeline.encode.bundle import Bundle
from pipeline.encode.external_data import external_files
from pipeline.errors import ArchiveError, BundleError, PolicyError, UsageError
from pipeline.evaluation.datasets.labelled_stream import read_stream
from pipeline.models.importing.source import load_source
from pipeline.policies.load import load_policy_set
from pipeline.releases.codec import decode_set, encode_set
from pipeline.settings import BUNDLED_MODEL
from tests.attack.children import Attack
from tests.attack.hostile_bundles import hostile_bundles
from tests.attack.hostile_records import hostile_decisions, hostile_labels, hostile_rows
from tests.attack.hostile_sets import hostile_sets

SETS, BUNDLES, ROWS = hostile_sets(), hostile_bundles(), hostile_rows()
LABELS, DECISIONS = hostile_labels(), hostile_decisions()


def hold(attack: Attack, folder: Path, refusal: type[Exception]) -> None:
    act = attack.make(folder)
    if attack.refused:
        with pytest.raises(refusal):
            act()
    else:
        act()


@pytest.mark.parametrize("attack", SETS, ids=lambda attack: attack.name)
def test_a_stored_set_that_breaks_a_rule_of_policy_files_is_refused(attack: Attack, tmp_path: Path) -> None:
    """This holds with a correct digest too: anyone who may write to the topic can make one."""
    hold(attack, tmp_path, PolicyError)


def test_a_refusal_names_the_policy_and_the_problem(policies: Path) -> None:
    [attack] = [each for each in SETS if each.name == "two places"]
    with pytest.raises(
        PolicyError, match=r"policy set \w{12} cannot be used: `counterfeit.*`: `templates.0`: a template"
    ):
        attack.make(policies)()


def test_digests_of_sets_do_not_change(policies: Path) -> None:
    """This version gives the shipped folder the digest under which earlier versions published it."""
    shipped = load_policy_set(policies)
    fields = json.loads(encode_set(shipped))
    assert decode_set(json.dumps(fields, indent=1).encode(), shipped.digest) == shipped


@pytest.mark.parametrize("attack", BUNDLES, ids=lambda attack: attack.name)
def test_a_bundle_has_only_regular_files_in_its_folder(attack: Attack, tmp_path: Path) -> None:
    hold(attack, tmp_path, BundleError)


def test_weight_files_of_a_tower_must_be_listed(tmp_path: Path) -> None:
    assert external_files(BUNDLED_MODEL / "image.onnx") == frozenset()
    [attack] = [each for each in BUNDLES if each.name == "weights elsewhere"]
    with pytest.raises(BundleError, match=r"its weights are in `\.\./\.\./secret`, which the manifest does not list"):
        attack.make(tmp_path)()


def test_an_error_about_a_bundle_shows_no_digest_of_a_file(tmp_path: Path) -> None:
    [attack] = [each for each in BUNDLES if each.name == "another digest"]
    with pytest.raises(BundleError) as caught:
        attack.make(tmp_path)()
    assert Bundle.load(BUNDLED_MODEL).manifest.files["image.onnx"][:12] not in str(caught.value)


@pytest.mark.parametrize("attack", ROWS, ids=lambda attack: attack.name)
def test_a_damaged_row_is_named_by_its_record(attack: Attack, tmp_path: Path) -> None:
    act = attack.make(tmp_path)
    if attack.refused:
        with pytest.raises(ArchiveError, match=r"^t/0/7 is not a valid embedding: "):
            act()
    else:
        assert isinstance(act(), ArchivedEmbedding)


@pytest.mark.parametrize("model", ["../outside", "a" * 63, "A" * 64, "a" * 64 + "\n", ""])
def test_only_a_digest_names_a_folder_of_an_archive(model: str, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="is not a model digest"):
        Archive(str(tmp_path / "archive")).count(model)


def test_other_folders_in_an_archive_are_ignored(tmp_path: Path) -> None:
    (tmp_path / "other.lance/_versions").mkdir(parents=True)
    (tmp_path / "other.lance/_versions/1.manifest").touch()
    assert Archive(str(tmp_path)).models() == []


@pytest.mark.parametrize("attack", LABELS, ids=lambda attack: attack.name)
def test_a_table_of_labels_is_read_or_refused(attack: Attack, tmp_path: Path) -> None:
    hold(attack, tmp_path, UsageError)


def test_a_label_that_cannot_be_read_is_named_by_its_own_line(tmp_path: Path) -> None:
    """This also holds when only rows of one split are requested."""
    (tmp_path / "a.jpg").touch()
    (tmp_path / "l.csv").write_text("image,policies,split\na.jpg,x,train\na.jpg,x,train\nno.jpg,x,test\n")
    with pytest.raises(UsageError, match=r"l\.csv:4:1: `no\.jpg` does not exist"):
        read_stream(tmp_path / "l.csv", "test")


@pytest.mark.parametrize("attack", DECISIONS, ids=lambda attack: attack.name)
def test_an_invalid_decision_is_left_out(attack: Attack, tmp_path: Path) -> None:
    hold(attack, tmp_path, UsageError)


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json", "preprocessor_config.json"])
def test_no_code_of_a_model_is_run(file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that asks to run code is refused before any of its files is loaded."""

    def asked(prompt: str = "") -> str:
        raise AssertionError(prompt)

    monkeypatch.setattr("builtins.input", asked)
    CLIPConfig().save_pretrained(tmp_path)
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    said = json.loads((tmp_path / "config.json").read_text()) if file == "config.json" else {}
    (tmp_path / file).write_text(json.dumps({**said, "auto_map": {"AutoModel": "evil.Evil", "AutoConfig": "evil.C"}}))
    with pytest.raises(UsageError, match="Watchword runs no code of models"):
        load_source(str(tmp_path))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "{", "[]", '{"model_type": 7}', '{"model_type": "clip", "text_config": 1}']
)
def test_an_invalid_configuration_is_a_usage_error(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UsageError, match=str(tmp_path)):
        load_source(str(tmp_path))
