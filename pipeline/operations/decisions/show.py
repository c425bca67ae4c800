"""People's decisions, and the precision and recall of policies estimated from them."""

from dataclasses import dataclass
from datetime import datetime

from pipeline.evaluation.decisions.standing import DecisionStats, standings
from pipeline.events.decisions import Decision
from pipeline.operations.decisions.topic import read_decisions
from pipeline.operations.workbench import Workbench


@dataclass(frozen=True, slots=True)
class DecisionReport:
    """The decisions that count, in the order of their times, and the statistics of each of their policies."""

    decisions: tuple[Decision, ...]
    policies: tuple[DecisionStats, ...]


def show_decisions(workbench: Workbench, since: datetime | None = None) -> DecisionReport:
    """Report the decisions made at `since` or later. Raises `BrokerFault`."""
    found = read_decisions(workbench, since)
    return DecisionReport(tuple(found), tuple(standings(found)))
