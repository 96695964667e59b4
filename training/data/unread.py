"""What is said of a file of data that cannot be read."""

from pathlib import Path


def unread(path: str | Path, kind: str, error: Exception | str, remedy: str = "Copy the file again.") -> str:
    """A sentence that names the file, and what to do.

    Args:
        path: of the file.
        kind: what it should be, such as "an image".
        error: what its reader said, of which the first line is told.
        remedy: what to do.

    Example:
        >>> unread("a.png", "an image", "image file is truncated")
        'a.png: not an image that can be read (image file is truncated). Copy the file again.'
    """
    said = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    first = (said.splitlines() or [type(error).__name__])[0].strip(". ")
    return f"{path}: not {kind} that can be read ({first}). {remedy}"
