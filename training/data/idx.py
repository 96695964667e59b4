"""MNIST's idx files, looked at before torchvision reads them, which takes a damaged one for what it is not."""

from pathlib import Path

HEADERS = {"labels-idx1": (2049, 8), "images-idx3": (2051, 16)}
"""The magic number with which a file of each kind begins, and the bytes before its data."""
REMEDY = "Copy the file again, or remove it and set `download` to true."


def check_idx(folder: Path, *, train: bool) -> None:
    """Refuse damaged files of a part of MNIST; a file that is not there is left to the reader.

    Args:
        folder: `MNIST/raw`.
        train: whether the training part is meant.

    Raises:
        ValueError: if a file is no idx file of its kind, is cut off, or the two are not of equally many digits.
    """
    part = "train" if train else "t10k"
    files = {kind: folder / f"{part}-{kind}-ubyte" for kind in HEADERS}
    if not all(file.is_file() for file in files.values()):
        return
    labels, images = (_count(file, *HEADERS[kind]) for kind, file in files.items())
    if labels != images:
        raise ValueError(
            f"{files['images-idx3']} should hold as many digits as {files['labels-idx1'].name}. Found {images} and "
            f"{labels}. {REMEDY}"
        )
    wrong = max(files["labels-idx1"].read_bytes()[HEADERS["labels-idx1"][1] :], default=0)
    if wrong > 9:
        raise ValueError(f"{files['labels-idx1']} should hold digits from 0 to 9. Found {wrong}. {REMEDY}")


def _count(file: Path, magic: int, header: int) -> int:
    """How many digits a file holds, which must be as long as it says."""
    with file.open("rb") as opened:
        begin = opened.read(header)
    found = [int.from_bytes(begin[at : at + 4], "big") for at in range(0, header, 4)]
    if len(begin) < header or found[0] != magic:
        packed = " It is compressed with gzip: unpack it." if begin[:2] == b"\x1f\x8b" else ""
        raise ValueError(
            f"{file} should be an idx file that begins with {magic}. "
            f"Found {begin[:4].hex(' ') or 'no bytes'}.{packed} {REMEDY}"
        )
    count, *sides = found[1:]
    if sides not in ([], [28, 28]):
        raise ValueError(f"{file} should hold images of 28×28 pixels. Found {sides[0]}×{sides[1]}. {REMEDY}")
    expected, size = header + count * (784 if sides else 1), file.stat().st_size
    if count < 1 or size != expected:
        raise ValueError(
            f"{file} says that it holds {count} digits in {expected} bytes. Found {size} bytes. {REMEDY}"
        )
    return count
