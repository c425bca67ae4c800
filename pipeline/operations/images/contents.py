"""Images given as bytes: judged and embedded in this process, like files."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.offline.embed import BATCH
from pipeline.events.policies import PolicySet
from pipeline.events.records import Origin, Record
from pipeline.ingest.decode import decode
from pipeline.operations.images.scan import ScannedFile, bank_for_scan
from pipeline.operations.workbench import Workbench


def scan_contents(workbench: Workbench, contents: Mapping[str, bytes], policy_set: PolicySet) -> Iterator[ScannedFile]:
    """Judge images by name; yield one result for each, in order, with the name as its path. Raises `PolicyError`."""
    bank = bank_for_scan(workbench, policy_set)
    for outcome in workbench.outcomes(bank, list(contents.items()), _records):
        yield ScannedFile(outcome)


def embed_contents(workbench: Workbench, contents: Sequence[bytes]) -> NDArray[np.float32]:
    """
    Return embeddings of N images, float32 [N, D], unit length. Raises `RecordFault` for bytes that are not an image.
    """
    spec, limits = workbench.bundle.pixels, workbench.settings.image_limits
    found = [np.zeros((0, workbench.bundle.manifest.dimension), np.float32)]
    for first in range(0, len(contents), BATCH):
        pixels = [decode(content, spec, limits).pixels for content in contents[first : first + BATCH]]
        found.append(workbench.encoder.encode_images(np.stack(pixels)))
    return np.concatenate(found)


def _records(contents: Sequence[tuple[str, bytes]], *, max_bytes: int) -> Iterator[Record]:
    """Yield each image as a record. An image over the limit is cut to one byte more than the limit."""
    for number, (name, content) in enumerate(contents):
        yield Record(Origin(name, 0, number), None, content[: max_bytes + 1])
