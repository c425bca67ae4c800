"""A person's decision as it stands on the wire. The contract is docs/events.asyncapi.yaml."""

from uuid import uuid5

from pipeline.emit.encoded import Encoded
from pipeline.emit.formats import SOURCE, cloud_event
from pipeline.events.decisions import Decision
from pipeline.events.outcomes import FLAG_NAMESPACE


def decision_record(decision: Decision) -> Encoded:
    """
    Return a decision as JSON, under the key of what it is about.

    The topic is compacted: of each policy and event the last decision stays.
    """
    key = "\n".join(decision.about)
    own = uuid5(FLAG_NAMESPACE, f"decision\n{key}\n{decision.time.isoformat()}\n{decision.reviewer}")
    headers = cloud_event(str(own), f"{SOURCE}.decision.v1", decision.time)
    value = decision.model_dump_json(exclude_none=True).encode()
    return Encoded(key.encode(), value, (*headers, ("content-type", b"application/json")))
