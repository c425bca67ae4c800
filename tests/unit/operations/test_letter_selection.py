"""Dead letters named by people, and the names of their files."""

import json
from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.events.records import Origin
from pipeline.events.wire.dead_letter import DeadLetterRecord
from pipeline.operations.access_log import AccessLog
from pipeline.operations.dead_letters.save import file_name
from pipeline.operations.dead_letters.selection import offsets_of, origin_of
from tests.support import wire


@pytest.mark.parametrize("text", ["images/0/12", "images:0:12"])
def test_a_record_is_named_by_topic_partition_and_offset(text: str) -> None:
    assert origin_of(text) == Origin("images", 0, 12)


@pytest.mark.parametrize("text", ["", "images", "images/0", "images/-1/3", "im ages/0/1", "a/b/0/1", "images/0/1\n"])
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="expected topic/partition/offset of the input record, such as `images/0/12`"):
        origin_of(text)


def test_a_range_of_offsets_has_both_ends() -> None:
    assert offsets_of(["12", "40-42"]) == (range(12, 13), range(40, 43))
    for text in ("42-40", "a", "1-", "-1"):
        with pytest.raises(UsageError, match="expected an offset or a range"):
            offsets_of([text])


@pytest.mark.parametrize("topic", ["../../etc/passwd", "/etc", "a\nb", "ü" * 300, ""])
def test_a_file_stays_in_its_folder_whatever_the_topic_is_called(topic: str) -> None:
    name = file_name(1, DeadLetterRecord.parse(wire.dead_letter(Origin(topic, 0, 3))))
    assert name == Path(name).name
    assert name.isascii()
    assert len(name) < 200


def test_saving_is_refused_when_it_cannot_be_recorded(tmp_path: Path) -> None:
    file = tmp_path / "access.jsonl"
    AccessLog("ana", file).note_letters(["images/0/12"], "dead-letters save")
    told = json.loads(file.read_text())
    assert (told["user"], told["command"], told["letters"]) == ("ana", "dead-letters save", ["images/0/12"])
    with pytest.raises(UsageError, match="the access cannot be recorded, so nothing is shown"):
        AccessLog("ana", tmp_path).note_letters(["images/0/12"], "dead-letters save")
