"""The public API: its names and signatures, and the example of its page."""

import inspect
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import watchword
import watchword.archive
from pipeline.archive.dataset import Archive
from pipeline.archive.rows import ArchivedEmbedding
from pipeline.encode.local import LocalEncoder
from tests.support.pages import REPOSITORY, code_blocks
from tests.support.publishing import two_policies, with_threshold

NAMES = {
    "DeadLetterRecord", "EmbeddedFiles", "FlagRecord", "Notice", "Policy", "PolicyError", "PolicySet", "Ranking",
    "ScanResult", "UsageError", "VerdictRecord", "Watchword", "WatchwordError", "load_policies",
}  # fmt: skip
ARCHIVE_NAMES = {"ArchiveSearch", "Backtest", "BacktestResult", "Neighbour", "PolicyChange"}
LIBRARIES = ("numpy", "pydantic", "kafka", "onnxruntime")
SIGNATURES = {
    "__init__": "(self, *, model=None, archive=None, policies=None, bootstrap_servers=None, progress=None)",
    "backtest": "(self, before, after, *, since, share=None, seed=1)",
    "dead_letters": "(self, *, since=None, follow=False)",
    "embed_bytes": "(self, images)",
    "embed_files": "(self, paths)",
    "embed_texts": "(self, texts)",
    "flags": "(self, *, policy=None, since=None, follow=False)",
    "policy_set": "(self, name='current')",
    "scan": "(self, paths, policies)",
    "scan_bytes": "(self, images, policies)",
    "search": "(self, query, *, since=None, top=20)",
    "search_files": "(self, paths, text, *, top=20)",
    "verdicts": "(self, *, policy=None, since=None, follow=False)",
}


def without_annotations(function: Callable[..., Any]) -> str:
    signature = inspect.signature(function)
    plain = [each.replace(annotation=inspect.Parameter.empty) for each in signature.parameters.values()]
    return str(inspect.Signature(plain))


def test_the_public_names_are_these_and_each_is_there() -> None:
    assert set(watchword.__all__) == NAMES
    assert dir(watchword) == sorted(NAMES)
    assert all(hasattr(watchword, name) for name in NAMES)
    assert set(watchword.archive.__all__) == {
        "ArchiveSearch",
        "Backtest",
        "BacktestResult",
        "Neighbour",
        "PolicyChange",
    }
    assert all(hasattr(watchword.archive, name) for name in watchword.archive.__all__)
    assert not hasattr(watchword, "Workbench")


def test_the_methods_are_called_as_they_were() -> None:
    methods = inspect.getmembers(watchword.Watchword, inspect.isfunction)
    public = {name: method for name, method in methods if name == "__init__" or not name.startswith("_")}
    assert {name: without_annotations(method) for name, method in public.items()} == SIGNATURES
    assert without_annotations(watchword.load_policies) == "(folder)"
    for method in public.values():
        parameters = list(inspect.signature(method).parameters.values())[1:]
        assert all(each.annotation is not inspect.Parameter.empty for each in parameters)


def test_importing_it_loads_no_library() -> None:
    code = (
        "import sys, watchword; print([n for n in ('numpy', 'pydantic', 'kafka', 'onnxruntime') if n in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.fixture
def desk(tmp_path: Path, samples: Path, encoder: LocalEncoder, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with photos, policies, edited policies and an archive: the place to run the page's example in."""
    (tmp_path / "photos").mkdir()
    for kind in ("revolver", "Leopards"):
        for path in sorted((samples / "images" / kind).iterdir())[:3]:
            (tmp_path / "photos" / f"{kind}-{path.name}").symlink_to(path)
    two_policies(tmp_path / "policies")
    with_threshold(two_policies(tmp_path / "edited"), 100.0)
    monkeypatch.chdir(tmp_path)
    embedded = watchword.Watchword().embed_files("photos")
    now = datetime.now(UTC)
    Archive("archive").add(
        [
            ArchivedEmbedding(
                key=f"images/0/{number}",
                model=encoder.model_digest,
                event_id=file.name,
                source="shop",
                attributes="{}",
                content="c" * 64,
                time=now,
                policy_set="s",
                vector=vector.astype(np.float16),
            )
            for number, (file, vector) in enumerate(zip(embedded.files, embedded.embeddings, strict=True))
        ]
    )
    return tmp_path


def test_the_pages_example_runs(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its last block, which reads outcomes, runs on a real broker in tests/integration/test_api_stream.py."""
    names: dict[str, Any] = {}
    for block in code_blocks("docs/api.md", "python")[:-1]:
        exec(block, names)
    out = capsys.readouterr().out
    assert len(re.findall(r"^photos/revolver-\S+ \('weapons.firearms',\)", out, re.MULTILINE)) == 3
    assert len(re.findall(r"^Leopards-\S+: revolver", out, re.MULTILINE)) == 3
    assert len(re.findall(r"^0\.\d\d Leopards-", out, re.MULTILINE)) == 3
    assert "newly cleared" in out


def test_bytes_are_judged_and_embedded_like_files(policies: Path, samples: Path) -> None:
    files = sorted((samples / "images/revolver").iterdir())[:2]
    ww, shipped = watchword.Watchword(), watchword.load_policies(policies)
    named = {str(file): file.read_bytes() for file in files}
    assert list(ww.scan_bytes(named, shipped)) == list(ww.scan(files, shipped))
    np.testing.assert_array_equal(ww.embed_bytes(list(named.values())), ww.embed_files(files).embeddings)
    assert ww.embed_bytes([]).shape == (0, 256)


def test_an_image_that_cannot_be_judged_is_a_result_with_an_error(policies: Path) -> None:
    ww = watchword.Watchword()
    [result] = ww.scan_bytes({"note": b"no image"}, watchword.load_policies(policies))
    assert (result.path, result.flags, result.error) == ("note", (), "unsupported_format")
    with pytest.raises(watchword.WatchwordError, match="unsupported_format"):
        ww.embed_bytes([b"no image"])


def test_an_unreadable_file_is_a_warning(tmp_path: Path, revolver: bytes) -> None:
    (tmp_path / "a.jpg").write_bytes(revolver)
    (tmp_path / "b.jpg").write_text("no image")
    with pytest.warns(watchword.Notice, match=r"b\.jpg"):
        embedded = watchword.Watchword().embed_files(tmp_path)
    assert [file.name for file in embedded.files] == ["a.jpg"]


def test_a_mistake_in_a_policy_names_its_place(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("id: a\nprompt: [x]\n")
    with pytest.raises(watchword.PolicyError, match=r"a\.yaml:2:1"):
        watchword.load_policies(str(tmp_path))


def test_an_argument_takes_the_place_of_a_setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WATCHWORD_MODEL", str(tmp_path / "nowhere"))
    with pytest.raises(watchword.UsageError):
        _ = watchword.Watchword().model_digest
    assert len(watchword.Watchword(model=REPOSITORY / "pipeline/bundles/caltech-small").model_digest) == 64
