"""Files that appear whole or not at all."""

import errno
import os
import re
from pathlib import Path

PART = re.compile(r"\.\d+\.part$")
"""What the name of a file ends with until it is whole."""


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file so that it appears whole or not at all, whatever happens meanwhile.

    Args:
        path: of the file; its folder is made if there is none.
        content: text is written as UTF-8.

    Raises:
        OSError: if the disk is full, or the folder cannot be written to; what was there before is still there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    written = content.encode("utf-8") if isinstance(content, str) else content
    write_reserved(part, written, len(written))
    os.replace(part, path)


def write_reserved(path: Path, content: bytes, size: int) -> None:
    """Write a file of `size` bytes that begins with the content; leave nothing behind where that fails.

    Raises:
        OSError: if the disk is full, which says how many bytes are needed, or the file cannot be written.
    """
    try:
        with path.open("wb") as file:
            file.write(content)
            for start in range(len(content), size, 2**20):
                file.write(bytes(min(2**20, size - start)))
    except OSError as error:
        path.unlink(missing_ok=True)
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        whole = PART.sub("", str(path))
        raise OSError(
            errno.ENOSPC,
            f"{whole}: the disk is full; {size:,} bytes are needed. Nothing is lost: make space and start again",
        ) from error
