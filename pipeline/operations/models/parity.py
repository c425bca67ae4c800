"""Parity of two engines of one model, in this process or behind Triton."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pipeline.encode.bundle import Bundle
from pipeline.encode.triton import TritonEncoder
from pipeline.encode.triton_tls import triton_tls_of
from pipeline.errors import EncoderFault, UsageError
from pipeline.evaluation.offline.embed import BATCH
from pipeline.events.policies import PolicySet
from pipeline.ingest.folder import list_files
from pipeline.models.engines.parity import Parity, compare
from pipeline.operations.workbench import Workbench
from pipeline.tls import Tls

TRITON_TIMEOUT_S = 60.0


def compare_engines(
    workbench: Workbench,
    reference: Path,
    candidate: Path,
    images: Sequence[Path],
    policy_set: PolicySet,
    *,
    triton: str | None = None,
) -> Parity:
    """
    Judge images with both engines and compare embeddings and verdicts.

    `triton`: HOST:PORT of a Triton server that computes the candidate; None runs it in this process. Raises
    `UsageError`, also when the server does not answer.
    """
    files = list_files(images)
    workbench.access.note(policy_set.policies, "models parity")
    bundle = Bundle.load(candidate)
    try:
        with _served(bundle, triton, triton_tls_of(workbench.settings)) as served:
            return compare(
                Bundle.load(reference), bundle, files, policy_set, served=served, progress=workbench.progress
            )
    except EncoderFault as fault:
        raise UsageError(f"`--triton {triton}`: {fault}") from fault


@contextmanager
def _served(bundle: Bundle, url: str | None, tls: Tls | None) -> Iterator[TritonEncoder | None]:
    if url is None:
        yield None
        return
    encoder = TritonEncoder(
        bundle,
        url,
        timeout_s=TRITON_TIMEOUT_S,
        batch_size=BATCH,
        slots=1,
        shared_memory="off",
        on_error=lambda _: None,
        tls=tls,
    )
    try:
        encoder.check()
        yield encoder
    finally:
        encoder.close()
