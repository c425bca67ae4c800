"""Check of the archive: it can be read and written."""

from collections.abc import Iterator

from pipeline.counted import counted
from pipeline.errors import StoreFault, UsageError
from pipeline.operations.archive.status import archive_status
from pipeline.operations.doctor.findings import Finding, failed, fine, skipped
from pipeline.operations.workbench import Workbench


def check_archive(workbench: Workbench) -> Iterator[Finding]:
    """Yield whether the archive can be read and written. Raises `StoreFault`."""
    try:
        archive = workbench.archive
    except UsageError as error:
        yield skipped("archive", str(error))
        return
    from pipeline.archive.access import exists, require_writable

    if not exists(archive):
        seen = f"there is no archive at `{archive.address}`"
        yield skipped("archive", seen, "`watchword archive run` creates it; without one, nothing is kept for search")
        return
    try:
        status = archive_status(workbench)
    except OSError as error:
        raise StoreFault(f"`{archive.address}` cannot be read: {error}") from error
    count = sum(each.count for each in status.models)
    try:
        require_writable(archive)
    except StoreFault as fault:
        yield failed("archive", str(fault), "let the user of this process write there, or free space")
        return
    yield fine("archive", f"`{archive.address}` has {counted(count, 'embedding')} and can be written")
