"""What the words and signs of a page mean."""

LEGEND = {
    "ε50%": "strength of the attack at which half of the samples are misclassified: the median over samples of the "
    "smallest strength at which the attack succeeds, 0 for samples that are wrong already. Every finite radius "
    "belongs to an adversarial example whose class, norm and bounds were checked. In the data's own units.",
    "τ50%": "weight of smoothness in the spatial attack (STA) at which half of the samples are misclassified; lower "
    "is more robust. Strength is 1/τ.",
    "worst of all": "ε50% where every sample meets the attack that is strongest on it.",
    "optimality": "of an attack, among those of its norm: 1 − the area between its curve of accuracy and the lower "
    "envelope of all, over the area above the envelope, up to the largest radius of the envelope.",
    "signs of masking": "checks whether gradients can be trusted, made at ε50% under PGD L∞; each is described in "
    "eval/robustness/masking.py.",
    "α_Δx": "mean cosine between ∇(logit of the closest wrong class − logit of the true class) and the vector to the "
    "closest point of that class.",
    "α_x": "mean absolute cosine between the gradient of the predicted class's logit and the image itself.",
    "sim(Δx, Δ̂x)": "mean cosine between an estimator's residual and the true one, where it is known.",
    "x̂' of target class": "share of the estimated closest points, x + Δ̂x, that a classifier which had no part in the "
    "estimator's training assigns to the class they should belong to.",
    "curves": "a band reaches from the largest strength seen to fail to the smallest seen to succeed, sample by "
    "sample; the line runs in its middle. Near 50 % the band is closed to the resolution of ε50%.",
    "intervals": "95 %, in square brackets: of a number, over its samples (order statistics for medians, Wilson's "
    "for shares, bootstrap for means); of a correlation, over settings of ε with all their seeds. ±: over seeds.",
    "GOP %": "share of parameter tensors whose clean and adversarial gradient oppose each other, mean over training.",
    "μ": "‖g_n‖ ‖g_a‖ (1 − cos(g_n, g_a)), the conflict of the two gradients, mean over training.",
    "▲ and ▼": "higher or lower than the recipe that is named below the table, beyond the 95 % interval of the "
    "difference: paired by seeds where there are several, else where the intervals of the two do not overlap. Each "
    "is judged by itself, so that one in twenty has a sign by chance alone.",
    "B, Lα, P": "plain training; plain training with the alignment penalty; adversarial training with PGD.",
    "confirmed, not confirmed, undecided": "whether a whole 95 % interval speaks for what a paper claims, all of it "
    "against, or neither. Intervals are over trainings, paired by their seeds; of one training each over samples, "
    "which says nothing of other trainings. A claim over a sweep is judged at each setting.",
    "fronts": "the area is that of the part, of the rectangle around all points, in which a point of a sweep is at "
    "least as good in both coordinates. What is said of it in the findings is said of the numbers of the table.",
    "near chance": "models whose accuracy is at most 5 points above that of guessing are left out of findings, of "
    "fronts and of correlations, and counted: they are alike in whatever else is measured.",
}
