"""Dimensions: noticed from shapes, named where shapes do not show them."""

import numpy as np
import pytest
import torch

from training.data.layout import channels_first, check_layout, layout_notes, noticed_layout, sample_shape


@pytest.mark.parametrize(
    ("shape", "layout", "inner"),
    [
        ((50, 13), "NF", (13,)),
        ((50, 12, 5000), "NCL", (12, 5000)),
        ((50, 1, 187), "NCL", (1, 187)),
        ((50, 28, 28), "NHW", (1, 28, 28)),
        ((50, 3, 32, 32), "NCHW", (3, 32, 32)),
        ((50, 32, 32, 3), "NHWC", (3, 32, 32)),
        ((50, 28, 28, 1), "NHWC", (1, 28, 28)),
        ((50, 20, 40, 4), "NHWC", (4, 20, 40)),
        ((50, 3, 40, 3), "NCHW", (3, 40, 3)),
        ((50, 13, 64, 64), "NCHW", (13, 64, 64)),
        ((50, 28, 28, 28), "NDHW", (1, 28, 28, 28)),
        ((50, 1, 9, 28, 28), "NCDHW", (1, 9, 28, 28)),
        ((50, 9, 28, 28, 1), "NDHWC", (1, 9, 28, 28)),
        ((50, 2, 9, 28, 28), "NCDHW", (2, 9, 28, 28)),
    ],
)
def test_layout_is_noticed(shape, layout, inner):
    assert noticed_layout(shape, "a") == layout
    assert sample_shape(shape, layout) == inner
    assert channels_first(np.zeros((2, *shape[1:])), layout).shape == (2, *inner)


@pytest.mark.parametrize("shape", [(50,), (50, 5000, 12), (50, 40, 60), (50, 64, 64, 13), (50, 1, 2, 3, 4, 5)])
def test_shape_that_may_mean_several_things_is_refused(shape):
    with pytest.raises(ValueError, match=r"^a.npy: .*order can be seen. Found shape \(50,.*`layout`, one of NF, NCL"):
        noticed_layout(shape, "a.npy")


def test_every_pixel_lands_where_it_belongs():
    raw = np.random.default_rng(0).random((4, 5, 6, 3))
    assert np.array_equal(channels_first(raw, "NHWC"), torch.from_numpy(raw).permute(0, 3, 1, 2).numpy())
    assert np.array_equal(channels_first(raw[..., :1], "NHWC")[:, 0], raw[..., 0])


@pytest.mark.parametrize(
    ("shape", "layout", "said"),
    [
        ((9, 8, 8, 3), "NHWC", ("a: images of 8 × 8 × 3 read as NHWC, channels moved to the front: 3 × 8 × 8.",)),
        ((9, 8, 8), "NHW", ("a: images of 8 × 8 read as NHW, channels of one added: 1 × 8 × 8.",)),
        ((9, 3, 8, 8), "NCHW", ()),
        ((9, 8), "NF", ()),
    ],
)
def test_what_is_changed_is_said(shape, layout, said):
    notes = layout_notes(shape, layout, "a")
    assert tuple(note.replace(" `layout` says otherwise.", "") for note in notes) == said


def test_layout_of_other_dimensions_is_refused():
    with pytest.raises(ValueError, match=r"`layout` should name each dimension. Found 'NHWC' for .* \(9, 8, 8\)"):
        check_layout("NHWC", (9, 8, 8), "a")
