"""Code blocks of README and docs."""

import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def code_blocks(page: str, language: str) -> list[str]:
    """Return the blocks of a language, in their order; `page` is relative to the repository."""
    return re.findall(rf"```{language}\n(.*?)```", (REPOSITORY / page).read_text(), re.DOTALL)


def shell_lines(block: str) -> list[str]:
    """Return the commands of a block, one a line."""
    return [line for line in block.splitlines() if line.strip()]
