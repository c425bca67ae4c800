"""A worker process has all settings of the operation that starts it, not only those of the environment."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from pipeline.operations.stream.committed import environment_of
from pipeline.settings import Settings, load_settings


def test_a_worker_reads_the_same_settings_from_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    given = Settings(
        sasl_password=SecretStr("a secret"),
        file_roots=(Path("/srv/images"), Path("/srv/more")),
        fetch_ports=(80, 8080),
        archive_options={"region": "eu"},
        http_references=False,
        text_cache=Path("texts.npz"),
        retry_backoff_s=0.5,
    ).model_copy(update={"topic_images": "other", "http_port": 0})
    for name, value in environment_of(given).items():
        monkeypatch.setenv(name, value)
    assert load_settings(Settings) == given


def test_settings_at_their_defaults_are_not_passed_on() -> None:
    assert environment_of(Settings()) == {}
