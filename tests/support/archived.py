"""Sample photographs on a stream's topic and in an archive, as a worker and an archiver would leave them."""

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from pipeline.archive.dataset import Archive
from pipeline.archive.rows import ArchivedEmbedding
from pipeline.encode.bundle import Bundle
from pipeline.encode.local import LocalEncoder
from pipeline.events.images import ImageLimits
from pipeline.events.records import Reference
from pipeline.ingest.decode import decode
from pipeline.ingest.event import parse_event
from tests.support.stream import Stream


def archive_photographs(
    stream: Stream, archive: Archive, files: Sequence[Path], bundle: Bundle, encoder: LocalEncoder
) -> None:
    """Send photographs, every third as a reference, and archive their embeddings; an event's id is its file's."""
    contents = {f"{path.parent.name}/{path.name}": path for path in files}
    stream.send(
        stream.image(name, json.dumps({"uri": path.resolve().as_uri()}).encode(), "application/json")
        if number % 3 == 0
        else stream.image(name, path.read_bytes())
        for number, (name, path) in enumerate(contents.items())
    )
    now, rows = datetime.now(UTC), []
    for record in stream.records(stream.settings.topic_images):
        event = parse_event(record)
        data = contents[event.id].read_bytes()
        [vector] = encoder.encode_images(np.stack([decode(data, bundle.pixels, ImageLimits()).pixels]))
        content = hashlib.sha256(data).hexdigest()
        rows.append(
            ArchivedEmbedding(
                key=str(record.origin),
                model=bundle.digest,
                event_id=event.id,
                source=event.source,
                attributes="{}",
                content=content,
                time=now,
                policy_set="s",
                vector=vector.astype("<f2"),
                reference=event.content.uri if isinstance(event.content, Reference) else "",
            )
        )
    archive.add(rows)
