"""Pages that are made from code say what the code says."""

from pathlib import Path

from pipeline.cli.reference import metrics_page, schema_page, settings_page

DOCS = Path(__file__).parents[3] / "docs"


def test_the_settings_page_is_made_from_settings() -> None:
    assert (DOCS / "settings.md").read_text() == settings_page(), "run `make docs`"


def test_the_schema_of_policy_files_is_made_from_what_reads_them() -> None:
    assert (DOCS / "policy.schema.json").read_text() == schema_page("policy"), "run `make docs`"


def test_the_metrics_page_is_made_from_telemetry() -> None:
    assert (DOCS / "metrics.md").read_text() == metrics_page(), "run `make docs`"
