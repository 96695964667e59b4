import torch

from eval.robustness.keeping import Kept


def test_the_smallest_verified_perturbation_is_kept_whatever_the_order() -> None:
    kept, x = Kept(), torch.zeros(3, 2)
    kept.begin(x, torch.tensor([True, True, False]))
    part = torch.tensor([0, 1])
    for size, fooled in ((0.4, [True, True]), (0.2, [True, False]), (0.3, [True, True])):
        sizes = torch.full((2,), size, dtype=torch.float64)
        kept.note(part, torch.tensor(fooled), sizes, torch.full((2, 2), size))
    assert kept.size.tolist() == [0.2, 0.3, 0]
    assert torch.equal(kept.x_adv[:, 0], torch.tensor([0.2, 0.3, 0]))
    assert torch.equal(kept.x, x)
