"""Parts of a worker: progress, chunk size, checks of embeddings, health and settings."""

from collections.abc import Sequence

import numpy as np
import pytest

from pipeline.broker.lag import Seen
from pipeline.broker.producer import transactional_id
from pipeline.encode.contract import checked_embeddings, serving_version
from pipeline.errors import BrokerFault, EncoderFault, UsageError
from pipeline.settings import Settings, load_settings, logging_asked
from pipeline.stream.progress import ChunkSize, CommitProgress
from pipeline.stream.watches import BrokerWatch

UNIT = np.eye(4, 8, dtype=np.float32)


def test_unit_vectors_are_accepted() -> None:
    np.testing.assert_array_equal(checked_embeddings(UNIT, (4, 8), "it"), UNIT)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (UNIT[:2], "expected float32"),
        (UNIT.astype(np.float64), "expected float32"),
        (np.full((4, 8), np.nan, np.float32), "not finite"),
        (np.where(UNIT > 0, np.float32(np.inf), UNIT), "not finite"),
        (np.zeros((4, 8), np.float32), "length is off by 1"),
        (UNIT * np.float32(1.02), "length is off by 0.02"),
    ],
)
def test_other_vectors_are_an_encoder_fault(found: np.ndarray, message: str) -> None:
    with pytest.raises(EncoderFault, match=message):
        checked_embeddings(found, (4, 8), "it")


def test_two_models_have_two_versions() -> None:
    assert serving_version("0ff4438e3704" + "0" * 52) == 0x0FF4438E3704
    assert serving_version("f" * 64) != serving_version("e" * 64)


def test_stalled_time_counts_only_while_there_is_something_to_commit() -> None:
    now = [0.0]
    progress = CommitProgress(lambda: now[0])
    now[0] = 100.0
    assert progress.stalled_s() == 0
    progress.measure(busy=True)
    now[0] = 107.0
    progress.measure(busy=True)
    assert progress.stalled_s() == 7
    progress.committed()
    assert progress.stalled_s() == 0
    now[0] = 109.0
    assert progress.stalled_s() == 2
    progress.measure(busy=False)
    assert progress.stalled_s() == 0


def test_a_slow_chunk_is_halved_down_to_one_record_and_grows_again() -> None:
    size = ChunkSize(256, 1000)
    size.halve(12, 900)
    assert (size.records, size.size_bytes) == (6, 450)
    for _ in range(10):
        size.halve(size.records, size.size_bytes)
    assert (size.records, size.size_bytes) == (1, 1)
    for _ in range(20):
        size.widen()
    assert (size.records, size.size_bytes) == (256, 1000)


def test_transactions_of_two_groups_never_have_one_id() -> None:
    pairs = [("a", "b/c"), ("a/b", "c"), ("a%2Fb", "c"), ("a", "b"), ("a-b", "c"), ("a", "b-c")]
    assert len({transactional_id(*pair) for pair in pairs}) == len(pairs)


class Broker:
    """A broker that answers, or does not."""

    def __init__(self) -> None:
        self.up, self.missing = True, frozenset[str]()

    def look(self, topics: Sequence[str]) -> Seen:
        if not self.up:
            raise BrokerFault("away")
        return Seen({0: 7}, self.missing & set(topics))

    def close(self) -> None: ...


def test_the_broker_watch_knows_missing_topics_and_the_silence_of_the_broker() -> None:
    now, broker = [0.0], Broker()
    watch = BrokerWatch(broker, ("images", "flags"), lambda: now[0])
    watch.look()
    assert (watch.ends, watch.missing) == ({0: 7}, frozenset())
    broker.missing = frozenset({"flags"})
    watch.look()
    assert watch.missing == {"flags"}
    broker.up, now[0] = False, 12.0
    with pytest.raises(BrokerFault):
        watch.look()
    assert watch.silent_s() == 12


def test_an_unknown_variable_is_an_error_that_suggests_the_right_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHWORD_BOOTSTRAP_SERVER", "x")
    with pytest.raises(
        UsageError, match="WATCHWORD_BOOTSTRAP_SERVER is not a setting, did you mean WATCHWORD_BOOTSTRAP_SERVERS"
    ):
        load_settings(Settings)


def test_variables_that_kubernetes_sets_for_a_service_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "WATCHWORD_SERVICE_HOST",
        "WATCHWORD_SERVICE_PORT_HTTP",
        "WATCHWORD_PORT",
        "WATCHWORD_PORT_9464_TCP_ADDR",
    ):
        monkeypatch.setenv(name, "tcp://10.0.0.1:9464")
    load_settings(Settings)


def test_a_setting_that_is_not_json_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHWORD_ARCHIVE_OPTIONS", "{")
    with pytest.raises(UsageError, match="archive_options"):
        load_settings(Settings)


def test_the_log_format_is_known_before_any_setting_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHWORD_LOG_FORMAT", "json")
    monkeypatch.setenv("WATCHWORD_LOG_LEVEL", "loud")
    assert logging_asked() == ("json", "info")
