"""Access to an archive's storage: whether this process may write there."""

import tempfile
from pathlib import Path

from pipeline.archive.dataset import Archive
from pipeline.errors import StoreFault

# Written and deleted again; no dataset has this name.
_NAME = "watchword-write-check"


def exists(archive: Archive) -> bool:
    """Tell whether the archive's folder exists. An address in object storage counts as existing."""
    return "://" in archive.address or Path(archive.address).is_dir()


def require_writable(archive: Archive) -> None:
    """Write a file to the archive's storage and delete it. Raises `StoreFault` when that fails."""
    try:
        if "://" not in archive.address:
            with tempfile.TemporaryFile(dir=archive.address) as file:
                file.write(b"\0")
            return
        files, root = archive.file_system()
        path = f"{root}/{_NAME}"
        with files.open_output_stream(path) as stream:
            stream.write(b"\0")
        files.delete_file(path)
    except OSError as error:
        raise StoreFault(f"`{archive.address}` cannot be written: {error}") from error
