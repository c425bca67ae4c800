"""Session of one command: the settings, loaded once, and the workbench built on them."""

from functools import cached_property
from typing import TYPE_CHECKING

import typer

from pipeline.cli.progress import TerminalProgress
from pipeline.progress import NO_PROGRESS, Progress
from pipeline.user import user_name

if TYPE_CHECKING:
    from pipeline.operations.workbench import Workbench
    from pipeline.settings import Settings
    from pipeline.stack_settings import StackSettings


class Session:
    """
    Settings and workbench of a command, made when they are first used.

    `progress` shows bars and notices on this terminal; a `quiet` session shows neither.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.progress: Progress = NO_PROGRESS if quiet else TerminalProgress()

    @cached_property
    def settings(self) -> "Settings":
        """The settings from the environment. Raises `UsageError` when one is wrong."""
        from pipeline.settings import Settings, load_settings

        return load_settings(Settings)

    @cached_property
    def stack_settings(self) -> "StackSettings":
        """The local stack's settings from the environment. Raises `UsageError` when one is wrong."""
        from pipeline.settings import load_settings
        from pipeline.stack_settings import StackSettings

        return load_settings(StackSettings)

    @cached_property
    def workbench(self) -> "Workbench":
        """The workbench of these settings, with the progress of this session."""
        from pipeline.operations.workbench import Workbench

        return Workbench(self.settings, user=user_name(), progress=self.progress)


def session_of(context: typer.Context) -> Session:
    """Return the session of the running command."""
    return context.find_root().ensure_object(Session)
