"""Limits are added to a command, and change nothing that it says."""


def test_what_a_command_says_stands() -> None:
    from limits import COMMANDS, limited

    words = ["measure", "model.pt", "--limit=200", "--curve_resolution", "0.1"]
    found = limited(words)
    assert found[: len(words)] == words
    assert {"--limit", "--curve-resolution"}.isdisjoint(found[len(words) :])
    assert found[-2:] == ["--device", COMMANDS["measure"]["--device"]]


def test_options_of_the_attacks_that_are_named() -> None:
    from limits import ATTACK_OPTIONS, limited

    found = limited(["measure", "model.pt", "--attacks", "pgd,square"])
    assert found[-2] == "--attack-options"
    assert found[-1] == f'{{"square": {{"queries": {ATTACK_OPTIONS["square"]["queries"]}}}}}'


def test_a_study_is_laid_over_the_limits() -> None:
    from limits import STUDY, overlaid

    found = overlaid({"title": "t", "measure": {"limit": 50}})
    assert found["measure"] == {**STUDY["measure"], "limit": 50}
    assert found["base"] == STUDY["base"]
