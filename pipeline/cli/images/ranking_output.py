"""Output of ranked files: a table or JSON lines, and a page of pictures."""

from pathlib import Path

from pipeline.cli.console import output, plain_table, print_json
from pipeline.operations.images.ranking import Ranking
from pipeline.reports.gallery import Tile, write_gallery


def print_ranking(ranking: Ranking, text_column: str, value_column: str, output_format: str) -> None:
    """Print each file's scores; the columns are, for example, `label` and `probability`."""
    if output_format == "jsonl":
        for each in ranking.files:
            scores = {score.text: score.value for score in each.scores}
            print_json({"path": str(each.file), f"{text_column}s": scores})
        return
    table = plain_table("path", text_column, value_column)
    for each in ranking.files:
        for score in each.scores:
            table.add_row(str(each.file), score.text, f"{score.value:.3f}")
    output().print(table)


def write_ranking(path: Path, ranking: Ranking, *, title: str, about: str) -> None:
    """Write the page of the ranked files' pictures."""
    tiles = [
        Tile(str(each.file), each.thumbnail, tuple((score.text, score.value) for score in each.scores))
        for each in ranking.files
    ]
    write_gallery(path, tiles, title=title, about=about)
