"""Answers that arrive together with the end of a connection are not lost."""

from pipeline.broker.net_client import LastWords


def test_an_answer_is_handed_out_before_the_end_of_its_connection() -> None:
    end = ConnectionError("closed")
    reads = iter([(b"a", None), (b"", None), (b"refused", end)])
    receive = LastWords(lambda: next(reads))
    assert [receive() for _ in range(5)] == [(b"a", None), (b"", None), (b"refused", None), (b"", end), (b"", end)]
