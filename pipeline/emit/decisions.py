"""A person's decision as a record of its topic. The contract is docs/events.asyncapi.yaml."""

from uuid import uuid5

from pipeline.emit.encoded import Encoded
from pipeline.emit.formats import cloud_event
from pipeline.events.decisions import Decision
from pipeline.events.outcomes import FLAG_NAMESPACE
from pipeline.events.times import rfc3339


def decision_record(decision: Decision) -> Encoded:
    """
    Return the record of a decision, under a key that names the policy and the event.

    The topic is compacted: it keeps the last decision about each policy and event.
    """
    key = "\n".join(decision.about)
    record_id = uuid5(FLAG_NAMESPACE, f"decision\n{key}\n{decision.time.isoformat()}\n{decision.reviewer}")
    value = decision.model_dump_json(exclude_none=True).encode()
    return Encoded(key.encode(), value, cloud_event(Decision, str(record_id), rfc3339(decision.time)))
