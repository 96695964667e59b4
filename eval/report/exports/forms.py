"""One call for every form."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

from alignment.contracts import check_choice
from eval.records import Records
from eval.report.exports.exported import Exported
from eval.report.exports.frames import comma_separated
from eval.report.exports.model_card import model_cards
from eval.report.exports.robustbench import leaderboard_entries

Form = Literal["robustbench", "model-card", "csv"]
FORMS: Mapping[Form, Callable[[Records, Mapping[str, Any]], Exported]] = {
    "robustbench": leaderboard_entries,
    "model-card": model_cards,
    "csv": comma_separated,
}


def export(records: Records, form: Form, about: Mapping[str, Any] | None = None) -> Exported:
    """Records in another program's form.

    Args:
        records: of a folder, see `eval.records.Results.load`.
        form: "robustbench" for the JSON of its leaderboards, a file per model, norm and ε; "model-card" for the
            metadata and a section of a Hugging Face model card, a file per model; "csv" for two tables, one row per
            number and one row per sample.
        about: what is known of the model and was not measured, such as `{"authors": "…", "venue": "…"}`; see
            `eval.report.exports.robustbench.SAID` and `eval.report.exports.model_card.SAID`.

    Raises:
        ValueError: for another form, no records, something in `about` that the form has no place for, or if what the
            form cannot do without was not measured.
    """
    check_choice(form, get_args(Form), "form")
    if not len(records):
        raise ValueError("`records` should hold at least one. Found none. Run `alphadx measure` first.")
    return FORMS[form](records, about or {})
