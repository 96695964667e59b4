"""The `export` job: leave with what other programs read."""

import sys
from pathlib import Path
from typing import Any

from eval.records import Results
from eval.report.exports import export as exported
from eval.report.exports.forms import Form
from generators.files import remove_leftovers, write_whole


def export(
    folder: Path, form: Form = "csv", out: Path | None = None, about: dict[str, Any] | None = None
) -> list[Path]:
    """Write saved records in another program's form.

    Args:
        folder: of a study or a measurement.
        form: robustbench, model-card or csv. That is the JSON of RobustBench's leaderboards; metadata and a section
            of a Hugging Face model card; or two tables, one row per number and one row per sample, in which radii
            above everything tried are marked instead of infinite.
        out: folder for the files; FOLDER/exports/FORM if not given.
        about: what is known of the model and was not measured, such as `'{"authors": "…", "venue": "…"}'`.

    Returns:
        The files.

    Raises:
        ValueError: if the folder holds no records or a damaged file, or what the form needs was not measured.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder of results.")
    found = exported(Results(folder).load(), form, about)
    place = folder / "exports" / form if out is None else out
    remove_leftovers(place, below=False)
    written = [place / name for name in found.files]
    for path, content in zip(written, found.files.values(), strict=True):
        write_whole(path, content)
        print(path)
    for note in found.notes:
        print(f"note: {note}", file=sys.stderr)
    return written
