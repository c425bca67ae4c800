"""A back-test by threads, by Daft on this machine and on a local Ray gives the same counts."""

import json
import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from pipeline.archive.dataset import Archive
from pipeline.archive.rows import ArchivedEmbedding
from pipeline.cli.main import app
from pipeline.encode.local import LocalEncoder
from tests.support.archiving import PYTHON
from tests.support.publishing import two_policies, with_threshold


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, encoder: LocalEncoder) -> Path:
    """An archive in three fragments, two policies, and an edit of one."""
    folder = tmp_path_factory.mktemp("engines")
    rng = np.random.default_rng(2)
    texts = encoder.encode_texts(["a revolver", "a leopard", "a tree"])
    archive, now = Archive(str(folder / "archive")), datetime.now(UTC)
    for part in range(3):
        noisy = texts[rng.integers(0, 3, 500)] + rng.normal(0, 0.05, (500, texts.shape[1]))
        vectors = (noisy / np.linalg.norm(noisy, axis=1, keepdims=True)).astype(np.float16)
        archive.add(
            [
                ArchivedEmbedding(
                    key=f"i/{part}/{n}",
                    model=encoder.model_digest,
                    event_id=f"e{part}-{n}",
                    source=("shop", "forum")[n % 2],
                    attributes=json.dumps({"region": ("eu", "us")[n % 2]}),
                    content="c",
                    time=now - timedelta(days=n % 9, hours=1),
                    policy_set="s",
                    vector=vectors[n],
                )
                for n in range(500)
            ]
        )
    assert len(archive.fragments(encoder.model_digest)) == 3
    two_policies(folder / "before")
    with_threshold(two_policies(folder / "edited"), -2.0)
    return folder


def words(folder: Path, engine: str) -> list[str]:
    sets = [str(folder / "edited"), "--before", str(folder / "before"), "--since", "7d"]
    return ["policies", "backtest", *sets, "--engine", engine, "--format", "json"]


def here(folder: Path, engine: str) -> str:
    run = CliRunner().invoke(app, words(folder, engine), env={"WATCHWORD_ARCHIVE": str(folder / "archive")})
    assert run.exit_code == 1, (run.stderr[-2000:], run.exception)
    return run.stdout


def backtest(folder: Path, engine: str) -> str:
    """Run it in a separate process: Daft's runner is chosen once in a process."""
    environment = {**os.environ, "WATCHWORD_ARCHIVE": str(folder / "archive")}
    run = subprocess.run(
        [*PYTHON, *words(folder, engine)], env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 1, run.stderr[-2000:]
    return run.stdout


@pytest.mark.slow
def test_every_engine_finds_the_same(folder: Path) -> None:
    runs = [here(folder, engine) for engine in ("threads", "daft")] + [backtest(folder, "ray")]
    by_threads, by_daft, by_ray = (json.loads(run) for run in runs)
    assert by_threads["policies"]["weapons.firearms"]["newly_flagged"] > 10
    assert by_threads["images"] < 1500, "what is older is left out"
    assert by_daft == by_ray == by_threads


def test_an_unknown_engine_is_named(folder: Path) -> None:
    run = CliRunner().invoke(app, words(folder, "spark"), env={"WATCHWORD_ARCHIVE": str(folder / "archive")})
    assert "`--engine spark`: choose `threads`" in str(run.exception)
