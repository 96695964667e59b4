"""Tables, plots and one self-contained page, drawn from saved records and from nothing else."""

from eval.report.page import all_tables, write_report
from eval.report.tables import correlation_table, cost_table, masking_table, side_by_side, theory_check

__all__ = [
    "all_tables",
    "correlation_table",
    "cost_table",
    "masking_table",
    "side_by_side",
    "theory_check",
    "write_report",
]
