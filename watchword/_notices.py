"""Notices of operations as Python warnings."""

import warnings

from pipeline.progress import NoProgress


class Notice(UserWarning):
    """A sentence about a result that is no error, for example that a file cannot be read."""


class WarnOfNotices(NoProgress):
    """An observer that issues each notice as a warning of the category `Notice`."""

    def notify(self, message: str) -> None:
        """Warn with the message."""
        warnings.warn(message, Notice, stacklevel=2)
