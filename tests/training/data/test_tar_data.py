"""Images in tar files of WebDataset's form."""

import gc
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.training.data.sets import LABELS, expected, pixels
from training.data import TarData, data_set_of

X = torch.stack([expected(i) for i in range(10)])
NAMES = ["ant", "bee", "cat"]


def png(number: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels(number)).save(file, "png")
    return file.getvalue()


def write(path: Path, numbers: Any, label: Any = None, mode: str = "w", **more: bytes) -> None:
    """A tar file of samples with PNG images and a file for the label."""
    ending, content = label or ("cls", lambda number: str(LABELS[number]))
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as tar:
        for number in numbers:
            files = {"png": png(number), ending: content(number).encode(), **more}
            for end, data in files.items():
                member = tarfile.TarInfo(f"./images/{number:04d}.{end}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))


def inputs(data: Any, split: str) -> torch.Tensor:
    return data.split(split).__getitems__(range(len(data.split(split)))).x


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    for shard in range(5):
        write(tmp_path / f"val-{shard:03d}.tar", [2 * shard, 2 * shard + 1])
    return tmp_path


@pytest.mark.parametrize("pattern", ["val-{000..004}.tar", "val-*.tar", "val-00{0..4}.tar"])
def test_samples_of_all_shards_are_read_in_order(shards: Path, pattern: str) -> None:
    data = TarData(str(shards / pattern), classes=NAMES)
    assert (data.shape, data.classes, data.bounds) == ((3, 5, 6), ("ant", "bee", "cat"), (0.0, 1.0))
    torch.testing.assert_close(inputs(data, "test"), X, rtol=0, atol=1e-6)
    assert data.split("test").labels.tolist() == LABELS
    torch.testing.assert_close(data.split("test").__getitems__([9, 0]).x, X[[9, 0]], rtol=0, atol=1e-6)


def test_files_may_be_listed_for_every_split(shards: Path) -> None:
    parts = [[str(shards / f"val-00{number}.tar") for number in numbers] for numbers in ((0, 1), (2, 3), (4,))]
    data = TarData(*parts)
    assert [len(data.split(split)) for split in ("test", "train", "validation")] == [4, 4, 2]
    assert len(TarData(parts[0], parts[1], validation_share=0.25).split("validation")) == 1
    with pytest.raises(ValueError, match=r"there are no train samples. Found test"):
        TarData(parts[0]).split("train")


@pytest.mark.parametrize(
    ("label", "said"),
    [
        (("cls", lambda i: f"{LABELS[i]}\n"), None),
        (("json", lambda i: json.dumps({"label": LABELS[i], "id": i})), None),
        (("json", lambda i: json.dumps({"species": NAMES[LABELS[i]]})), "json:species"),
        (("txt", lambda i: NAMES[LABELS[i]]), "txt"),
        (("meta.txt", lambda i: NAMES[LABELS[i]]), "meta.txt"),
    ],
)
def test_labels_are_numbers_or_names_in_text_or_json(label: Any, said: str | None, tmp_path: Path) -> None:
    write(tmp_path / "a.tar", range(10), label)
    data = TarData(str(tmp_path / "a.tar"), label=said, classes=NAMES)
    assert data.split("test").__getitems__(range(10)).y.tolist() == LABELS == data.split("test").labels.tolist()


def test_only_what_is_asked_for_is_read(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = TarData(str(shards / "val-*.tar"))
    items = data.split("test").items
    (shards / "val-002.tar").unlink()
    torch.testing.assert_close(data.split("test").__getitems__([0, 9]).x, X[[0, 9]], rtol=0, atol=1e-6)
    assert len(items) == 10
    with pytest.raises(FileNotFoundError):
        data.split("test").__getitems__([4])


def test_one_of_several_images_is_chosen(tmp_path: Path) -> None:
    write(tmp_path / "a.tar", range(10), None, jpg=png(0))
    with pytest.raises(ValueError, match=r"`image` should be the ending of the images' files. Found png, cls, jpg"):
        TarData(str(tmp_path / "a.tar"))
    torch.testing.assert_close(inputs(TarData(str(tmp_path / "a.tar"), image="png"), "test"), X, rtol=0, atol=1e-6)


@pytest.mark.parametrize("mode", ["w:gz", "w:xz"])
def test_compressed_tar_file_is_refused_with_what_to_do(mode: str, tmp_path: Path) -> None:
    write(tmp_path / "a.tar", range(2), mode=mode)
    with pytest.raises(ValueError, match=r"a.tar: should be a tar file without compression.* Unpack it first"):
        TarData(str(tmp_path / "a.tar"))


def test_sample_without_a_label_is_named(tmp_path: Path) -> None:
    write(tmp_path / "a.tar", range(3))
    with tarfile.open(tmp_path / "a.tar", "a") as tar:
        tar.addfile(tarfile.TarInfo("0009.png"), io.BytesIO())
    with pytest.raises(ValueError, match=r"every sample should have a file that ends with .cls. Found one with png"):
        TarData(str(tmp_path / "a.tar"))


def test_other_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone.*tar: no such tar file"):
        TarData(str(tmp_path / "gone-{0..3}.tar"))
    write(tmp_path / "empty.tar", [])
    with pytest.raises(ValueError, match=r"empty.tar: should hold samples. Found none"):
        TarData(str(tmp_path / "empty.tar"))
    write(tmp_path / "json.tar", range(3), ("json", lambda i: json.dumps({"species": i})))
    with pytest.raises(ValueError, match=r"the JSON of every sample should hold 'label'. Found .*species"):
        TarData(str(tmp_path / "json.tar"))
    write(tmp_path / "odd.tar", range(3), ("cls", lambda i: "zebra"))
    with pytest.raises(ValueError, match=r"or name a class. Found 'zebra'"):
        inputs(TarData(str(tmp_path / "odd.tar"), classes=NAMES), "test")
    (tmp_path / "short.tar").write_bytes((tmp_path / "odd.tar").read_bytes()[:700])
    with pytest.raises(ValueError, match=r"short.tar"):
        TarData(str(tmp_path / "short.tar"))


def test_image_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    write(tmp_path / "a.tar", range(9))
    content = (tmp_path / "a.tar").read_bytes()
    broken = content.replace(png(8)[40:60], bytes(20))
    assert broken != content
    (tmp_path / "a.tar").write_bytes(broken)
    with pytest.raises(ValueError, match=r"item 8: not an image that can be read"):
        inputs(TarData(str(tmp_path / "a.tar"), classes=NAMES), "test")


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # webdataset leaves files open
def test_shards_that_webdataset_writes_are_read_as_webdataset_reads_them(tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset", reason="needs webdataset: pip install 'alphadx[webdataset]'")
    with webdataset.ShardWriter(str(tmp_path / "s-%06d.tar"), maxcount=4, verbose=0) as writer:
        for number in range(10):
            image = np.array(Image.fromarray(pixels(number)))
            writer.write(
                {"__key__": f"sample{number:03d}", "png": image, "cls": LABELS[number], "json": {"n": number}}
            )
    data = TarData(str(tmp_path / "s-{000000..000002}.tar"))
    urls = sorted(map(str, tmp_path.glob("*.tar")))
    theirs = webdataset.WebDataset(urls, shardshuffle=False).decode("torchrgb").to_tuple("png", "cls")
    x, y = zip(*theirs, strict=True)
    torch.testing.assert_close(inputs(data, "test"), torch.stack(x), rtol=0, atol=1e-6)
    assert data.split("test").labels.tolist() == [*y] == LABELS
    stream = data_set_of(theirs, bounds=(0, 1))
    torch.testing.assert_close(inputs(stream, "test"), X, rtol=0, atol=1e-6)
    del theirs, stream
    gc.collect()
