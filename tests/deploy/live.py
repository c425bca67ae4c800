"""The chart against a real API server, by server-side dry runs; run by `make manifests-live`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.api_server import ApiServer, api_server, definitions
from tests.deploy.chart import VALUES, render
from tests.deploy.manifests import EVERYTHING, misspelt, sampled  # noqa: F401 -- a fixture
from tests.deploy.schemas import CUSTOM


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with api_server(tmp_path_factory.mktemp("apiserver")) as running:
        for definition in definitions(CUSTOM):
            running.define(definition)
        yield running


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_the_api_server_takes_every_manifest(server: ApiServer, values: Path) -> None:
    refused = {}
    for each in render(values):
        status, text = server.dry_run(each)
        if status not in {200, 201}:
            refused[each["kind"], each["metadata"]["name"]] = text
    assert refused == {}


def test_the_api_server_refuses_a_misspelt_field_of_each_kind(server: ApiServer, sampled: Path) -> None:  # noqa: F811
    by_kind = {each["kind"]: each for each in render(EVERYTHING, chart=sampled)}
    accepted = []
    for manifest in by_kind.values():
        for path, spoiled in misspelt(manifest):
            if server.dry_run(spoiled)[0] in {200, 201}:
                accepted.append(path)
    assert accepted == []
