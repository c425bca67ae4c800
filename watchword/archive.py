"""Types of results about an archive. They need the extra `archive`."""

from pipeline.extras import models_extra

with models_extra("archive"):
    from pipeline.archive.search import Neighbour
    from pipeline.evaluation.backtest.result import Backtest, PolicyChange
    from pipeline.operations.images.search_archive import ArchiveSearch
    from pipeline.operations.policies.backtest import BacktestResult

__all__ = ["ArchiveSearch", "Backtest", "BacktestResult", "Neighbour", "PolicyChange"]
