"""Image files of a command line: other files of a folder are skipped; a named file never is."""

from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.operations.images.files import list_images

PNG = b"\x89PNG\r\n\x1a\n"


def files(folder: Path, **contents: bytes) -> list[Path]:
    for name, content in contents.items():
        (folder / name.replace("_", ".")).write_bytes(content)
    return sorted(folder.iterdir())


def test_a_folder_is_listed_without_files_that_are_not_images(tmp_path: Path) -> None:
    image, labels = files(tmp_path, image=PNG, labels_csv=b"a,b")
    found = list_images([tmp_path])
    assert found.files == (image,)
    assert found.skipped == (labels,)


def test_a_file_named_like_an_image_is_not_skipped(tmp_path: Path) -> None:
    """It is broken, or its format is not supported, and the user should know."""
    named = files(tmp_path, empty_JPG=b"", phone_heic=b"\0\0\0\x18ftypheic")
    assert list_images([tmp_path]).files == tuple(named)


def test_a_named_file_is_always_listed(tmp_path: Path) -> None:
    [labels] = files(tmp_path, labels_csv=b"a,b")
    found = list_images([labels, tmp_path])
    assert found.files == (labels,)
    assert found.skipped == ()


def test_a_file_that_cannot_be_opened_is_not_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pipeline.operations.images.files.has_image_signature", refuse)
    [closed] = files(tmp_path, closed=b"x")
    assert list_images([tmp_path]).files == (closed,)


def test_a_path_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not found"):
        list_images([tmp_path / "none"])
