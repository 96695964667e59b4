"""Input that is wrong in one thing: each is refused in a sentence, or is right after all."""
