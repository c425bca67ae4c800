"""Back-test of an archive's fragments with Daft, on this machine or on a Ray cluster. Only this module uses either."""

import logging
import os
import pickle
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import daft
import ray

from pipeline.archive.dataset import Archive
from pipeline.errors import UsageError
from pipeline.evaluation.backtest.batches import COLUMNS, part_of
from pipeline.evaluation.backtest.compare import PolicySetComparison
from pipeline.evaluation.backtest.result import Backtest
from pipeline.events.policies import PolicySet, PromptBank
from pipeline.judge.score import Judge


@dataclass(frozen=True)
class FragmentWork:
    """
    A job that judges fragments of an archive with two policy sets. It is sent to the machines of a cluster.

    `banks`: the prompt banks of both sets, by the set's digest, so that no machine needs a model. `where`: the filter
    of rows, as `Archive.scan` takes it.
    """

    address: str
    options: Mapping[str, str]
    model: str
    where: str
    before: PolicySet
    after: PolicySet
    banks: Mapping[str, PromptBank]

    def __call__(self, fragment: int) -> Backtest:
        """Judge one fragment of the archive, using every core of this machine."""
        comparison = PolicySetComparison(
            self.before, self.after, lambda policy_set: Judge(self.banks[policy_set.digest]), os.cpu_count() or 1
        )
        archive = Archive(self.address, self.options)
        return comparison.run(map(part_of, archive.scan(self.model, COLUMNS, self.where, fragment)))


def judge_fragments(work: FragmentWork, fragments: Sequence[int], engine: str) -> Iterator[Backtest]:
    """
    Yield the result of each fragment when it is ready, in any order.

    `engine`: `daft` for this machine, `ray` for a Ray cluster on this machine, `ray://host:port` for another cluster.
    Each of its machines needs this package and access to the archive's address. Raises `UsageError` when the cluster
    cannot be reached.
    """
    if not fragments:
        return
    _choose(engine)

    @daft.func(return_dtype=daft.DataType.binary())  # type: ignore[untyped-decorator] # of an untyped library
    def judged(fragment: int) -> bytes:
        return pickle.dumps(work(fragment))

    frame = daft.from_pydict({"fragment": list(fragments)})
    if engine != "daft":
        frame = frame.into_partitions(len(fragments))
    for row in frame.with_column("found", judged(daft.col("fragment"))).iter_rows():
        # Only `judged` above writes these bytes.
        yield pickle.loads(row["found"])  # noqa: S301


def _choose(engine: str) -> None:
    if engine == "daft":
        daft.set_runner_native()
    else:
        address = None if engine == "ray" else engine
        try:
            ray.init(address=address, log_to_driver=False, include_dashboard=False, logging_level=logging.WARNING)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise UsageError(f"`{engine}` cannot be reached: {error}") from error
        daft.set_runner_ray(noop_if_initialized=True)
