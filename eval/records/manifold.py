"""Does the gradient follow the data? Its cosine with the data's score, and its share in the data's tangent space."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args
from weakref import WeakKeyDictionary

from torch import Tensor, nn

from alignment import Candidates, closest_class, cosine_similarity, input_gradient
from alignment.alphas import Closest, alignment_with_residual
from alignment.candidates import recorded
from alignment.contracts import check_choice, check_floating
from alignment.gradients import as_variable, differentiable, evaluating, gradient_of, logits_of
from alignment.precision import exact
from alignment.similarity import Similarity
from alignment.span import share_in_span
from eval.records.estimators import described_estimator, estimator_of
from eval.records.outcome import Measurement, Outcome
from eval.records.per_sample import mean_cosine
from eval.records.quantity import Quantity
from generators import ScoreDifference, score
from generators.tangent import LocalTangent
from training.data import Batch, DataSet
from training.data.residuals import SplitExamples
from training.passes import CountPasses

Form = Literal["difference", "class", "sum"]
"""What is compared: ∇ℓ with the difference of two scores, ∇logit_y with that of class y, or ∇Σ_c logit_c with that of
all classes."""


@dataclass(frozen=True)
class ScoreAlignment:
    """Cosine of the input gradient with the score of the data, after Srinivas, Bordt and Lakkaraju 2023.

    They compare gradients with scores of a diffusion model by LPIPS (arXiv 2305.19101); their program at
    σ = 0.5, the gradient of the sum of all logits with the score of all classes ("sum"), and, prepared beside it,
    ∇logit_y with the score of class y ("class"). Both fix what softmax leaves open: a function of x added to all
    logits changes the gradient and no prediction. The default form is free of it: ∇ℓ is the difference of two
    gradients of logits, and of the classifier that is best for the blurred data it is
    `∇ log p(x | c̃) − ∇ log p(x | y)`, see `generators.ScoreDifference`. The cosine stands in place of LPIPS, which
    needs a network that has learned from photographs.

    Args:
        score: checkpoint of a `generators.Denoiser`, or `{residual: PATH, options: {…}}`.
        of: the form, see `Form`.
        candidates: see `alignment.closest_class`.
    """

    score: str | Mapping[str, Any]
    of: Form = "difference"
    candidates: Candidates = None

    def denoiser(self, data: DataSet) -> ScoreDifference:
        """The denoiser; read once.

        Raises:
            ValueError: if the file holds something else, or there is no such form.
        """
        check_choice(self.of, get_args(Form), "of")
        found = estimator_of(data, self.score)
        if not isinstance(found, ScoreDifference):
            raise ValueError(
                f"`score` should be the checkpoint of a generators.Denoiser. Found {self.score}, {found.name}."
            )
        return found

    def quantity(self, data: DataSet) -> Quantity:
        """The cosine with the score by this very denoiser."""
        settings: dict[str, Any] = {"of": self.of, "estimator": described_estimator(self.denoiser(data))}
        if self.of == "difference":
            settings["candidates"] = recorded(self.candidates, data.num_classes)
        return Quantity("score_alignment", settings=settings)

    def __call__(self, classifier: CountPasses, data: DataSet, batches: Iterable[Batch]) -> Outcome:
        """Mean cosine over samples that have a direction; per sample the cosine."""
        denoiser = self.denoiser(data)

        def cosines(batch: Batch) -> Similarity:
            if self.of == "difference":
                closest = Closest(self.candidates, False)
                return alignment_with_residual(
                    classifier, batch.x, batch.y, denoiser, None, "closest_to_true", closest
                )
            return _with_score(classifier, batch, denoiser.generator.to(batch.x.device), self.of == "class")

        return mean_cosine(cosines, classifier, batches)


@exact()
def _with_score(classifier: nn.Module, batch: Batch, denoiser: nn.Module, of_class: bool) -> Similarity:
    """Of ∇logit_y with the score of class y, or of the gradient of all logits' sum with that of all classes."""
    gradient = input_gradient(classifier, batch.x, batch.y) if of_class else _of_sum(classifier, batch.x)
    return cosine_similarity(gradient, score(denoiser, batch.x, batch.y if of_class else None))


def _of_sum(classifier: nn.Module, x: Tensor) -> Tensor:
    """∇Σ_c logit(x)_c."""
    check_floating(x, "x")
    with evaluating(classifier), differentiable():
        variable = as_variable(x)
        return gradient_of(logits_of(classifier, variable), variable)


@dataclass(frozen=True)
class TangentShare:
    """Share of ‖∇ℓ‖² in the tangent space of the data, by `generators.tangent.LocalTangent`.

    The tangent space is that of the training split's nearest examples. A direction at random has K / N on average, N
    numbers an input, which the record says as `chance`.

    Args:
        neighbours: k nearest training examples, of whichever class.
        dimensions: K of the tangent space.
        candidates: see `alignment.closest_class`.
    """

    neighbours: int = 32
    dimensions: int = 8
    candidates: Candidates = None

    def tangent(self, data: DataSet) -> LocalTangent:
        """The tangent spaces of a data set; made once.

        Raises:
            ValueError: see `LocalTangent`.
        """
        made, key = _TANGENTS.setdefault(data, {}), (self.neighbours, self.dimensions)
        if key not in made:
            examples = SplitExamples(data.split("train"))
            made[key] = LocalTangent(examples, neighbours=self.neighbours, dimensions=self.dimensions)
        return made[key]

    def quantity(self, data: DataSet) -> Quantity:
        """The share by these very examples."""
        tangent = self.tangent(data)
        settings = tangent.settings | {"digest": tangent.digest}
        return Quantity(
            "tangent_share", settings=settings | {"candidates": recorded(self.candidates, data.num_classes)}
        )

    def __call__(self, classifier: CountPasses, data: DataSet, batches: Iterable[Batch]) -> Outcome:
        """Mean share over samples whose gradient is not zero; per sample the share, in [0, 1]."""
        tangent = self.tangent(data)

        def shares(batch: Batch) -> Similarity:
            target = closest_class(classifier, batch.x, batch.y, candidates=self.candidates)
            return share_in_span(input_gradient(classifier, batch.x, target, batch.y), tangent(batch.x))

        chance = {"chance": self.dimensions / tangent.size}
        return mean_cosine(shares, classifier, batches, column="share", details=chance)


_TANGENTS: WeakKeyDictionary[DataSet, dict[tuple[int, int], LocalTangent]] = WeakKeyDictionary()


def manifold_measurements(
    score: str | Mapping[str, Any] | None = None,
    tangent: bool | Mapping[str, Any] = False,
    candidates: Candidates = None,
) -> list[Measurement]:
    """What of both is wanted.

    Args:
        score: checkpoint of a `generators.Denoiser`, or with what `ScoreAlignment` takes besides,
            `{score: PATH, of: class}`; None for no score alignment.
        tangent: measure the tangent share; or with what it takes, as `{neighbours: 64, dimensions: 16}`.
        candidates: see `alignment.closest_class`.

    Raises:
        ValueError: for what they do not take.
    """
    found: list[Measurement] = []
    if score is not None:
        given = score if isinstance(score, Mapping) and "score" in score else {"score": score}
        found.append(ScoreAlignment(**{"candidates": candidates} | _checked(ScoreAlignment, given, "score")))
    if tangent is not False:
        given = tangent if isinstance(tangent, Mapping) else {}
        found.append(TangentShare(**{"candidates": candidates} | _checked(TangentShare, given, "tangent")))
    return found


def _checked(kind: type, given: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Options of a measurement, which has them all as its fields."""
    known = [field.name for field in fields(kind)]
    if unknown := sorted({*map(str, given)} - {*known}):
        raise ValueError(f"`{name}` should hold {', '.join(known)}. Found {', '.join(unknown)}.")
    return dict(given)
