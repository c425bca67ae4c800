"""A labelling session, opened on an archive with nothing but values: no terminal, no environment, no page."""

from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.archive.dataset import Archive
from pipeline.archive.rows import ArchivedEmbedding
from pipeline.encode.local import LocalEncoder
from pipeline.errors import UsageError
from pipeline.operations.policies.label import LabelRequest, open_labelling
from pipeline.operations.workbench import Workbench
from pipeline.settings import Settings
from tests.support.publishing import two_policies

POLICY = "weapons.firearms"
NOW = datetime.now(UTC)


@pytest.fixture
def workbench(tmp_path: Path, encoder: LocalEncoder) -> Workbench:
    """Sixty archived embeddings near two texts, judged by a folder of two policies."""
    folder, address = two_policies(tmp_path / "policies"), str(tmp_path / "archive")
    texts = encoder.encode_texts(["a revolver", "a leopard"] * 30)
    noisy = texts + np.random.default_rng(1).normal(0, 0.02, texts.shape)
    vectors = (noisy / np.linalg.norm(noisy, axis=1, keepdims=True)).astype("<f2")
    rows = [
        ArchivedEmbedding(f"i/0/{n}", encoder.model_digest, f"e{n}", "shop", "{}", f"c{n}", NOW, "s", vector)
        for n, vector in enumerate(vectors)
    ]
    Archive(address).add(rows)
    return Workbench(Settings(policies=folder, archive=address), user="ana")


def request(workbench: Workbench, file: Path, since: datetime) -> LabelRequest:
    return LabelRequest(POLICY, workbench.settings.policies, None, since, count=20, seed=1, file=file, reviewer=None)


def test_a_session_is_opened_on_a_sample_with_the_active_set_as_its_comparison(
    workbench: Workbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    none = SimpleNamespace(fetch=lambda *_: b"")
    monkeypatch.setattr("pipeline.operations.policies.label.open_originals", lambda settings: nullcontext(none))
    monkeypatch.setattr("pipeline.operations.policies.label.read_decisions", lambda *_: [])
    with open_labelling(workbench, request(workbench, tmp_path / "labels.jsonl", NOW - timedelta(days=1))) as task:
        assert task.policy.id == POLICY
        assert task.precision == 0.9
        assert sum(len(stratum.members) for stratum in task.strata) == 60
        assert len(task.session.candidates) == 20
        assert task.session.decisions() == []


def test_a_period_without_images_is_refused_with_its_start(workbench: Workbench, tmp_path: Path) -> None:
    since = datetime(2199, 1, 2, 3, 4, tzinfo=UTC)
    refused = pytest.raises(UsageError, match=r"`weapons\.firearms` since 2199-01-02 03:04 UTC")
    with refused, open_labelling(workbench, request(workbench, tmp_path / "labels.jsonl", since)):
        pass
