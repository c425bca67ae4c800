"""Explanation of a flag as a table and as an HTML page."""

from pathlib import Path

from pipeline.cli.console import output, plain_table
from pipeline.counted import counted
from pipeline.operations.stream.explain import ExplainedFlag, FlagPicture
from pipeline.reports.explain import FlagPage, Text, write_flag_page
from pipeline.reports.page import jpeg_address

MOST_OTHERS = 8


def print_explanation(explained: ExplainedFlag) -> None:
    """Print the score, the cosine and the share of each text, and whether recomputation confirms the flag."""
    console, found, event = output(), explained.explanation, explained.flag.event
    console.print(
        f"`{event.id}` of `{event.source}` was flagged by `{found.policy_id}`: "
        f"score {found.score:.3f}, threshold {found.threshold:.3f}"
    )
    table = plain_table("", "text", "cosine", "share")
    for each in (*explained.prompts, *explained.others[:MOST_OTHERS]):
        table.add_row(each.side, each.text, f"{each.similarity:.3f}", f"{each.share:.0%}")
    console.print(table)
    if len(explained.others) > MOST_OTHERS:
        console.print(f"and {counted(len(explained.others) - MOST_OTHERS, 'text')} further away")
    if found.confirmed:
        console.print("confirmed: recomputing it from the archived embedding gives the same flag")
    for difference in found.differences:
        console.print(f"differs: {difference}")


def write_page(path: Path, explained: ExplainedFlag, picture: FlagPicture) -> None:
    """Write the page as a file that only its owner can read."""
    found, flag = explained.explanation, explained.flag
    shown = (*explained.prompts, *explained.others[:MOST_OTHERS])
    page = FlagPage(
        title=explained.policy.title if explained.policy else found.policy_id,
        policy_id=found.policy_id,
        event_id=flag.event.id,
        source=flag.event.source,
        score=found.score,
        threshold=found.threshold,
        picture=jpeg_address(picture.thumbnail) if picture.thumbnail else None,
        missing=picture.missing,
        texts=tuple(Text(each.side, each.text, each.similarity, each.share) for each in shown),
        more=len(explained.others[MOST_OTHERS:]),
        differences=found.differences,
        policy_set=flag.policy_set_digest,
        model=flag.model_digest,
    )
    write_flag_page(path, page)
