"""How robust a classifier is: a critical radius per sample, and signs that gradients mislead."""
