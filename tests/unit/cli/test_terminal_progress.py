"""Progress on stderr: notices always, bars and spinners only on a terminal."""

import pytest

from pipeline.cli.progress import TerminalProgress


def test_a_pipe_gets_notices_without_bars_and_spinners(capsys: pytest.CaptureFixture[str]) -> None:
    progress = TerminalProgress()
    with progress.working("loading the model"):
        progress.notify("fitted for another model: a")
    assert list(progress.track([1, 2], "judging", 2)) == [1, 2]
    assert capsys.readouterr().err == "fitted for another model: a\n"


def test_a_terminal_shows_current_work(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    progress = TerminalProgress()
    with progress.working("loading the model"):
        pass
    assert "loading the model …" in capsys.readouterr().err


def test_nested_work_is_no_error() -> None:
    """For example, a model may be loaded while images are counted."""
    progress = TerminalProgress()
    for _ in progress.track([1], "judging", 1):
        with progress.working("loading the model"), progress.working("encoding the policies' texts"):
            pass
