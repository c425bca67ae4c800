"""Labelled streams: read, replayed, measured, and compared with a baseline."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from pipeline.cli.main import app
from pipeline.encode.local import LocalEncoder
from pipeline.errors import UsageError
from pipeline.evaluation.datasets.labelled_stream import read_stream
from pipeline.evaluation.replay.metrics import curve, results, slices
from pipeline.evaluation.replay.outcomes import Replayed
from pipeline.operations.stream.replay import ReplayReport, ReplayRequest, replay, replay_stream
from pipeline.operations.workbench import Workbench
from pipeline.policies.load import load_policy_set
from tests.support.releasing import make_workbench
from tests.support.remembered import Embeddings

pytest_plugins = ["pytester"]

KINDS = {"revolver": "weapons.firearms", "watch": "counterfeit.branded_goods", "ant": "", "lotus": ""}


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory, samples: Path) -> Path:
    """A CSV of four kinds of images, on two surfaces."""
    folder = tmp_path_factory.mktemp("stream")
    rows = []
    for kind, policies in KINDS.items():
        for number, image in enumerate(sorted((samples / "images" / kind).iterdir())[:16]):
            name = f"{kind}-{number}.jpg"
            shutil.copy(image, folder / name)
            rows.append({"image": name, "policies": policies, "surface": ("post", "avatar")[number % 2], "cluster": ""})
    with (folder / "stream.csv").open("w", newline="") as lines:
        writer = csv.DictWriter(lines, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder / "stream.csv"


@pytest.fixture
def workbench(encoder: LocalEncoder) -> Workbench:
    return make_workbench(encoder)


def replay_file(workbench: Workbench, stream: Path, policies: Path) -> Replayed:
    return replay_stream(workbench, read_stream(stream), load_policy_set(policies))


def with_threshold(folder: Path, threshold: str, *more: str) -> None:
    """Edit the policy about branded goods, and drop its examples."""
    path = folder / "counterfeit-branded_goods.yaml"
    text = path.read_text().partition("examples:")[0]
    lines = [line for line in text.splitlines() if not line.startswith("threshold:")]
    path.write_text("\n".join([*lines, f"threshold: {threshold}", *more, ""]))


def test_csv_json_lines_and_folders_give_the_same_stream(stream: Path, tmp_path: Path) -> None:
    lines = []
    for image in read_stream(stream).images:
        kind = tmp_path / "folders" / (min(image.right) if image.right else "none")
        kind.mkdir(parents=True, exist_ok=True)
        shutil.copy(image.image, kind)
        lines.append({"image": str(image.image), "policies": sorted(image.right), **image.attributes})
    (tmp_path / "stream.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = [read_stream(path) for path in (stream, tmp_path / "stream.jsonl", tmp_path / "folders")]
    for other in found[1:]:
        assert other.policies == found[0].policies == {"weapons.firearms", "counterfeit.branded_goods"}
        labels = [{(image.image.name, image.right) for image in each.images} for each in (found[0], other)]
        assert labels[0] == labels[1]
    assert found[1].images[1].attributes == found[0].images[1].attributes == {"surface": "avatar"}


def test_categories_are_mapped_to_policies_by_policy_labels(samples: Path) -> None:
    found = read_stream(samples, "val")
    assert len(found.images) == 513
    assert {"weapons.firearms"} in {image.right for image in found.images}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("s.csv", "image,policies\nno.jpg,\n", r"s\.csv:2:1: `no\.jpg` does not exist"),
        ("s.csv", "image,policies\n,\n", r"s\.csv:2:1: no `image`"),
        ("s.csv", "image,policies\n", "no rows"),
        ("s.csv", "image,category\nx.jpg,ant\n", "policy_labels.yaml`: not found"),
        ("s.jsonl", '{"image": \n', r"s\.jsonl:1:\d+: not JSON"),
        ("s.jsonl", "[1]\n", r"s\.jsonl:1:1: expected an object"),
    ],
)
def test_an_unreadable_stream_is_reported_with_its_line(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=message):
        read_stream(tmp_path / name)


def test_results_are_counted_from_answers(stream: Path, policies: Path, workbench: Workbench) -> None:
    replayed = replay_file(workbench, stream, policies)
    found = results(replayed)
    for place, policy in enumerate(replayed.policies):
        each, flagged, right = found[policy.id], replayed.flagged[:, place], replayed.right[:, place]
        assert each.true_positives == (flagged & right).sum()
        assert each.images == len(flagged) == len(read_stream(stream).images)
        assert each.true_positives + each.false_positives + each.false_negatives + each.true_negatives == each.images
        assert each.recall.lower <= each.recall.value <= each.recall.upper
        thresholds = [point.threshold for point in curve(replayed, place)]
        assert thresholds == sorted(thresholds, reverse=True)
        assert curve(replayed, place)[-1].recall == 1
    by_surface = slices(replayed, "surface")
    assert by_surface.keys() == {"avatar", "post"}
    halves = [by_surface[surface]["weapons.firearms"].true_positives for surface in by_surface]
    assert sum(halves) == found["weapons.firearms"].true_positives


def test_an_image_that_cannot_be_judged_is_named(stream: Path, policies: Path, tmp_path: Path) -> None:
    shutil.copytree(stream.parent, tmp_path / "stream")
    (tmp_path / "stream/ant-0.jpg").write_bytes(b"no image")
    words = [str(tmp_path / "stream/stream.csv"), "--policies", str(policies), "--format", "json"]
    fields = json.loads(CliRunner().invoke(app, ["replay", *words]).stdout)
    assert [each["id"] for each in fields["unjudged"]] == ["ant-0.jpg"]
    assert fields["images"] == len(read_stream(stream).images) - 1
    assert "wildlife.reptiles" in fields["unlabelled"]


def test_only_a_policy_that_got_worse_is_reported(stream: Path, policies: Path, tmp_path: Path) -> None:
    """A threshold that flags everything, or nothing, is worse beyond noise; unchanged policies are not."""
    before = str(tmp_path / "before.json")

    def run(folder: Path, *words: str) -> Result:
        return CliRunner().invoke(app, ["replay", str(stream), "--policies", str(folder), *words])

    assert run(policies, "--save", before).exit_code == 0
    same = run(policies, "--baseline", before)
    assert (same.exit_code, "worse" in same.stdout) == (0, False)
    for threshold in ("-100", "100"):
        shutil.copytree(policies, tmp_path / threshold)
        with_threshold(tmp_path / threshold, threshold)
        edited = run(tmp_path / threshold, "--baseline", before)
        assert edited.exit_code == 1
        worse = [line.split()[0] for line in edited.stdout.splitlines() if line.rstrip().endswith("worse")]
        assert worse == ["counterfeit.branded_goods"]


def test_a_baseline_of_another_stream_is_refused(
    stream: Path, policies: Path, tmp_path: Path, workbench: Workbench
) -> None:
    (tmp_path / "none.json").write_text("{}")
    with pytest.raises(UsageError, match="is not a saved replay"):
        replay(workbench, ReplayRequest(str(stream), policies, baseline=tmp_path / "none.json"))


def with_pictures(workbench: Workbench, stream: Path, policies: Path) -> ReplayReport:
    return replay(workbench, ReplayRequest(str(stream), policies, thumbnail_side=32))


def test_the_worst_errors_come_with_pictures_but_for_restricted_policies(
    stream: Path, policies: Path, tmp_path: Path, workbench: Workbench
) -> None:
    shutil.copytree(policies, tmp_path / "policies")
    with_threshold(tmp_path / "policies", "-100")
    errors = with_pictures(workbench, stream, tmp_path / "policies").errors["counterfeit.branded_goods"]
    assert len(errors) == 8
    assert all(error.thumbnail and not error.missed for error in errors)
    with_threshold(tmp_path / "policies", "-100", "restricted: true")
    report = with_pictures(workbench, stream, tmp_path / "policies")
    assert "counterfeit.branded_goods" not in report.errors
    assert report.errors == {"weapons.firearms": ()}, "the restricted policy flags every image"


def test_a_policy_repositorys_tests_can_replay_streams(stream: Path, policies: Path, pytester: pytest.Pytester) -> None:
    """The package's pytest plugin has a fixture for it."""
    shutil.copytree(stream.parent, pytester.path / "streams")
    pytester.makepyfile(
        """
        def test_watches_are_found(replay):
            found = replay("streams/stream.csv")["counterfeit.branded_goods"]
            assert found.recall.upper > 0.5
            assert found.precision.lower <= found.precision.value

        def test_nothing_is_this_good(replay):
            assert replay("streams/stream.csv")["weapons.firearms"].precision.lower >= 0.99
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", f"--watchword-policies={policies}")
    result.assert_outcomes(passed=1, failed=1, warnings=0)


def test_an_assertion_about_a_policy_that_flags_nothing_reads_well(
    stream: Path, policies: Path, pytester: pytest.Pytester
) -> None:
    shutil.copytree(stream.parent, pytester.path / "streams")
    shutil.copytree(policies, pytester.path / "policies")
    with_threshold(pytester.path / "policies", "100")
    pytester.makepyfile(
        """
        def test_watches_are_found(replay):
            assert replay("streams/stream.csv")["counterfeit.branded_goods"].precision.lower >= 0.9
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.stdout.fnmatch_lines(
        [
            "*where 0.0 = unknown (0 to 1).lower",
            "*counterfeit.branded_goods: 0 images flagged, precision unknown (0 to 1)*",
        ]
    )
    result.stdout.no_fnmatch_line("*nan*")


def test_scores_of_a_replay_are_those_of_a_scan(
    stream: Path, policies: Path, workbench: Workbench, remembered: Embeddings
) -> None:
    """Two replays of one stream give the same scores: nothing is random."""
    with remembered.unused():
        first, second = (replay_file(workbench, stream, policies) for _ in range(2))
    np.testing.assert_array_equal(first.flagged, second.flagged)
    np.testing.assert_allclose(first.scores, second.scores, atol=1e-6)
