"""Pages that are made from code say what the code says."""

from pathlib import Path

from pipeline.cli.reference import logs_page, metrics_page, schema_page, settings_page
from pipeline.cli.reference_events import events_page, record_schema_page
from pipeline.events.schemas.json_schema import KINDS

DOCS = Path(__file__).parents[3] / "docs"


def test_the_settings_page_is_made_from_settings() -> None:
    assert (DOCS / "settings.md").read_text() == settings_page(), "run `make docs`"


def test_the_schema_of_policy_files_is_made_from_what_reads_them() -> None:
    assert (DOCS / "policy.schema.json").read_text() == schema_page("policy"), "run `make docs`"


def test_the_metrics_page_is_made_from_telemetry() -> None:
    assert (DOCS / "metrics.md").read_text() == metrics_page(), "run `make docs`"


def test_the_page_of_log_events_is_made_from_the_calls_of_loggers() -> None:
    assert (DOCS / "logs.md").read_text() == logs_page(), "run `make docs`"


def test_the_document_of_the_topics_is_made_from_the_records() -> None:
    assert (DOCS / "events.asyncapi.yaml").read_text() == events_page(), "run `make docs`"


def test_the_schemas_of_records_are_made_from_what_writes_and_reads_them() -> None:
    files = {path.name.removesuffix(".schema.json"): path.read_text() for path in (DOCS / "schemas").iterdir()}
    assert files == {kind: record_schema_page(kind) for kind in KINDS}, "run `make docs`"
