"""Edge regularisation: the input gradient should look like the edges of the image.

Rodríguez-Muñoz, Wang and Torralba 2024, *Characterizing Model Robustness via Natural Input Gradients*,
https://arxiv.org/abs/2409.20139, section 5.3.
"""

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from alignment.contracts import check_labels
from alignment.gradients import gradient_of, pick
from alignment.second_order import check_second_derivative
from alignment.similarity import cosine_similarity
from alignment.slopes import check_batch, minus_mean, of_nothing, variable_and_logits


def edge_penalty(
    classifier: nn.Module,
    x: Float[Tensor, "B channels height width"],
    classes: Int[Tensor, " B"],
    *,
    sigma: float = 1.0,
    magnitude: bool = False,
    logits: Float[Tensor, "B C"] | None = None,
) -> Float[Tensor, ""]:
    """Mean ‖ g / rms(g) − E / rms(E) ‖² / n, which is 2 − 2 mean sim(g, E), with a graph to the weights.

    g = ∇ logit(x)_c, E the edges of x, see `edges_of`, and rms(u) = ‖u‖₂ / √n. The authors' program takes one rms for
    all of a batch; here each sample has its own, so that none depends on those beside it. E is never negative, so
    that g is asked for its sign, too, unless `magnitude`. The classifier is used in the mode that it is in.

    Args:
        classifier: from `(B, channels, height, width)` to logits `(B, C)`.
        x: images, `(B, channels, height, width)`.
        classes: c, `(B,)` int64 in [0, C).
        sigma: of the blur, in pixels, above 0.
        magnitude: compare the largest |g| over the channels of a pixel in place of g, the program's saliency.
        logits: of `x`, where they are already known; `x` must then ask for a gradient.

    Returns:
        A number in [0, 4] with a graph; samples without edges or without a gradient are left out. 0 without samples,
        which the classifier is not shown.

    Raises:
        ValueError: if x are no images larger than half of the blur, `logits` is given and `x` does not ask for a
            gradient, classes are no int64 or out of range, or the classifier has no second derivatives.
    """
    check_batch(classifier, x, classes)
    check_image_shape(tuple(x.shape[1:]), sigma)
    if not len(x):
        return of_nothing(x, logits)
    x, logits = variable_and_logits(classifier, x, logits)
    check_labels(classes, len(x), logits.shape[1], "classes")
    slope = gradient_of(pick(logits, classes), x, create_graph=True)
    check_second_derivative(slope)
    edges = edges_of(x.detach(), sigma)
    given = slope.abs().amax(dim=1, keepdim=True) if magnitude else slope
    similarity = cosine_similarity(edges.to(given.dtype).expand_as(given), given)
    # Without a direction there is nothing to ask for, and so no 2.
    return 2 * similarity.valid.any() + 2 * minus_mean(similarity)


def edges_of(x: Float[Tensor, "B channels height width"], sigma: float = 1.0) -> Float[Tensor, "B 1 height width"]:
    """Edges of images: E = G_σ ∗ √( Σ_channels ‖ Sobel( G_σ ∗ x ) ‖² ), without a graph; borders are reflected.

    Args:
        x: images.
        sigma: of the Gaussian G_σ, in pixels, above 0; it reaches 3σ, rounded up.
    """
    check_image_shape(tuple(x.shape[1:]), sigma)
    given = x.detach().to(torch.promote_types(x.dtype, torch.float32))
    gaussian, sobel = _kernels(sigma, given.device, given.dtype)
    with torch.autocast(x.device.type, enabled=False):
        changes = _filtered(_filtered(given, gaussian), sobel)  # of each channel along x and y
        size = torch.linalg.vector_norm(changes, dim=1, keepdim=True)
        return _filtered(size, gaussian)


def check_image_shape(shape: tuple[int, ...], sigma: float) -> None:
    """Refuse what has no edges.

    Raises:
        ValueError: if it is no shape of an image, or the image is too small to be reflected at its borders.
    """
    if not 0 < sigma < math.inf:
        raise ValueError(f"`sigma` should be finite and above 0. Found {sigma}.")
    if len(shape) != 3 or min(shape[1:]) <= math.ceil(3 * sigma):
        least = math.ceil(3 * sigma) + 1
        raise ValueError(
            f"`x` should be images (channels, height, width) of at least {least}×{least} pixels to have edges at "
            f"sigma {sigma}. Found a shape of {tuple(shape)}."
        )


@lru_cache(maxsize=8)
def _kernels(sigma: float, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The Gaussian `(1, k, k)` and both Sobel kernels `(2, 3, 3)`, kept: a CUDA graph cannot hold their making."""
    from kornia.filters.kernels import get_gaussian_kernel2d, get_spatial_gradient_kernel2d, normalize_kernel2d

    width = 2 * math.ceil(3 * sigma) + 1
    gaussian = get_gaussian_kernel2d(width, (sigma, sigma), device=device, dtype=dtype)
    sobel = normalize_kernel2d(get_spatial_gradient_kernel2d("sobel", 1, device=device, dtype=dtype))
    return gaussian, sobel


def _filtered(images: Tensor, kernels: Tensor) -> Tensor:
    """Every channel of images under every kernel, in the size of the images."""
    reach, channels = kernels.shape[-1] // 2, images.shape[1]
    padded = F.pad(images, [reach] * 4, mode="reflect")
    return F.conv2d(padded, kernels.unsqueeze(1).repeat(channels, 1, 1, 1), groups=channels)
