"""Operations on the archive: status, holds, deletion and maintenance, with typed results."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from pipeline.archive.rows import ArchivedEmbedding
from pipeline.errors import ArchiveError
from pipeline.operations.archive.forget import delete_image, expire_images
from pipeline.operations.archive.holds import hold_image, release_image
from pipeline.operations.archive.maintenance import IndexedModel, compact_archive, index_archive
from pipeline.operations.archive.status import Hold, ModelEmbeddings, archive_status
from pipeline.operations.workbench import Workbench
from pipeline.settings import Settings, load_settings

MODEL = "a" * 64
DAY = datetime(2031, 5, 1, tzinfo=UTC)


@pytest.fixture
def workbench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workbench:
    """A workbench whose archive has ten embeddings, one hour apart, of the images `c0` to `c4`."""
    monkeypatch.setenv("WATCHWORD_ARCHIVE", str(tmp_path / "archive"))
    workbench = Workbench(load_settings(Settings), user="ana")
    vector = np.ones(8, np.float16)
    workbench.archive.add(
        [
            ArchivedEmbedding(
                f"i/0/{n}", MODEL, f"e{n}", "shop", "{}", f"c{n % 5}", DAY + timedelta(hours=n), "s", vector
            )
            for n in range(10)
        ]
    )
    return workbench


def count(workbench: Workbench) -> int:
    [model] = archive_status(workbench).models
    return model.count


def test_status_counts_embeddings_by_model_and_lists_holds(workbench: Workbench) -> None:
    assert hold_image(workbench, "c1", "order 12") == 2
    status = archive_status(workbench)
    assert status.models == (ModelEmbeddings(MODEL, 10),)
    assert status.holds == (Hold("c1", "order 12"),)


def test_a_held_image_is_not_deleted_until_it_is_released(workbench: Workbench) -> None:
    hold_image(workbench, "c1", "order 12")
    with pytest.raises(ArchiveError, match="is held: order 12"):
        delete_image(workbench, "c1")
    assert release_image(workbench, "c1") == 2
    assert delete_image(workbench, "c1") == 2
    assert count(workbench) == 8


def test_old_embeddings_expire_unless_they_are_held(workbench: Workbench) -> None:
    hold_image(workbench, "c1", "order 12")
    assert expire_images(workbench, DAY + timedelta(hours=5)) == 4
    assert count(workbench) == 6


def test_maintenance_keeps_every_embedding(workbench: Workbench) -> None:
    compact_archive(workbench)
    assert index_archive(workbench) == (IndexedModel(MODEL, indexed=False),)
    assert count(workbench) == 10
