"""Chromium, and a small page that has every part: marks, claims, pictures, interactive views, warnings."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eval.records import Model, Quantity
from eval.report import write_report
from tests.eval.made import ACCURACY, ALPHA, PGD, record, written

SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="400pt" height="200pt" '
    'viewBox="0 0 400 200"><defs><path id="a" d="M 0 0 L 9 9"/></defs><rect width="400" height="200" fill="#fff"/>'
    '<use xlink:href="#a" stroke="#000"/><text x="20" y="50">ε50%</text></svg>'
).encode()
CLAIM = {
    "says": "P withstands more",
    "paper": "paper 1, Table 2",
    "more": {"measurement": "epsilon50_pgd_linf", "of": "P", "than": "B"},
}
STUDY = {"name": "tiny", "title": "A tiny study", "models": 12, "source": {"paper": "paper 1", "claims": [CLAIM]}}


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Debian's Chromium, or whatever goes by that name; the tests are skipped, saying so, where there is none."""
    found = next((path for name in ("chromium", "google-chrome") if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no chromium or google-chrome on the path; with Debian: apt install chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install 'alphadx[dev]'")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="session")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of two recipes with three seeds each and a sweep of one, with pictures that are quickly made."""
    folder = tmp_path_factory.mktemp("page")
    made = [
        record(quantity, value + seed / 100, Model("d", recipe, seed=seed), details={"epsilon_max": 2.0})
        for recipe, value in (("B", 0.1), ("P", 0.3))
        for seed in range(3)
        for quantity in (ACCURACY, PGD, ALPHA)
    ]
    made += [
        record(
            quantity,
            0.2 + step / 10 + seed / 20,
            Model("d", "P", f"0.{step}", seed, ("sweep",), sweeps=(("epsilon",),)),
        )
        for step in (1, 2, 3)
        for seed in (0, 1)
        for quantity in (PGD, ALPHA)
    ]
    signs = {"signs": [{}] * 8, "summary": "2 of 8 signs of gradient masking: steps help little."}
    written(folder, [*made, record(Quantity("masking"), 2.0, details=signs)])
    (folder / "study.json").write_text(json.dumps(STUDY), encoding="utf-8")
    plots = {f"{name}.svg": SVG for name in ("curves-d", "correlation-d", "subject-d", "sweep-d-epsilon")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("eval.report.page.all_plots", lambda records: plots)
        write_report(folder)
    return folder / "page.html"
