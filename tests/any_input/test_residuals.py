"""Any examples, classes, types and strides: the nearest example is the one that a search of all of them finds."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from generators import NearestExample
from tests.any_input.profile import FEW


@st.composite
def searches(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Examples with classes, and queries with targets among them; some queries are examples themselves."""
    shape = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    count, queries = draw(st.integers(1, 12)), draw(st.integers(1, 5))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 99)))
    scale, dtype = draw(st.sampled_from([1e-6, 1.0, 1e6])), draw(st.sampled_from([torch.float32, torch.float64]))
    examples, x = (
        (torch.randn(n, *shape, generator=generator, dtype=torch.float64) * scale).to(dtype) for n in (count, queries)
    )
    if draw(st.booleans()):
        x[0] = examples[-1]
    if draw(st.booleans()) and x.ndim > 2:
        x, examples = x.transpose(1, 2), examples.transpose(1, 2)
    labels = torch.randint(3, (count,), generator=generator)
    return examples, labels, x, labels[torch.randint(count, (queries,), generator=generator)]


@FEW
@given(searches(), st.integers(1, 4))
def test_the_nearest_example_is_the_nearest(search: tuple[Tensor, Tensor, Tensor, Tensor], block: int) -> None:
    examples, labels, x, target = search
    found = NearestExample(examples, labels, block=block)(x, (target + 1) % 3, target)
    assert (found.dtype, found.shape) == (x.dtype, x.shape)
    far = torch.cdist(
        x.flatten(1).double(), examples.flatten(1).double(), compute_mode="donot_use_mm_for_euclid_dist"
    )
    least = far.masked_fill(target[:, None] != labels, torch.inf).amin(dim=1)
    size = found.flatten(1).double().norm(dim=1)
    torch.testing.assert_close(size, least, rtol=1e-5, atol=float(x.abs().max()) * 1e-6)
    ends = (x + found).flatten(1)
    of_class = [examples[labels == c].flatten(1) for c in target.tolist()]
    tolerance = 1e-5 * float(examples.abs().max())
    assert all((own - end).abs().amax(dim=1).min() <= tolerance for own, end in zip(of_class, ends, strict=True))
