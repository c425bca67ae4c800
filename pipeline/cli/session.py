"""Session of one command: the settings, loaded once, and the workbench built on them."""

import getpass
import os
from functools import cached_property
from typing import TYPE_CHECKING

import typer

from pipeline.cli.progress import TerminalProgress

if TYPE_CHECKING:
    from pipeline.operations.workbench import Workbench
    from pipeline.settings import Settings


class Session:
    """Settings and workbench of a command, made when they are first asked for."""

    @cached_property
    def settings(self) -> "Settings":
        """The settings of the environment. Raises `UsageError` when one is wrong."""
        from pipeline.settings import Settings, load_settings

        return load_settings(Settings)

    @cached_property
    def workbench(self) -> "Workbench":
        """The workbench of these settings, with progress on this terminal."""
        from pipeline.operations.workbench import Workbench

        return Workbench(self.settings, user=user_name(), progress=TerminalProgress())


def session_of(context: typer.Context) -> Session:
    """Return the session of the command that runs."""
    return context.find_root().ensure_object(Session)


def user_name() -> str:
    """Return the name of the user, or a number where the machine knows none, for example in many containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
