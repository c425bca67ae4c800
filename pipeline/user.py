"""Name of the person who runs this process."""

import getpass
import os


def user_name() -> str:
    """Return the name of the user, or a number where the machine knows none, for example in many containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
