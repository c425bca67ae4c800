"""Shares of images as they are written on a command line."""

from pipeline.errors import UsageError


def share_of(text: str, option: str, *, whole: bool = False) -> float:
    """
    Return the share between 0 and 1 that `10%` or `0.1` means; with `whole`, `100%` too.

    Raises `UsageError` that names `option`.
    """
    percent = text.endswith("%")
    try:
        share = float(text.removesuffix("%")) / (100 if percent else 1)
    except ValueError:
        share = 0.0
    if 0 < share < 1 or (whole and percent and share == 1):
        return share
    most = "at most 100%" if whole else "less than 100%"
    raise UsageError(f"`{option} {text}`: expected a share above 0% and {most}, for example `10%` or `0.1`")
