"""A slow study, and what one process finds in it."""

from pathlib import Path

import pytest
import yaml

from tests.eval.studies.engines.slow_study import PLAN, SLOW, ended, started, values


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a plan, and a class of the user's own, which workers must find as well."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "plan.yaml").write_text(yaml.safe_dump(PLAN))
    (folder / "slow_data.py").write_text(SLOW)
    return folder


@pytest.fixture(scope="session")
def alone(folder: Path) -> dict[tuple[str, str], float]:
    """What one process finds that is not interrupted."""
    ended(started(folder, "alone", "--jobs", "1"))
    return values(folder / "alone")
