"""Tables, plots and one self-contained page, drawn from saved records and from nothing else."""

from eval.report.correlating import correlation_table
from eval.report.page import write_comparison, write_report
from eval.report.sweeps import sweep_table
from eval.report.tables import (
    Table,
    all_tables,
    cost_table,
    masking_table,
    quality_table,
    side_by_side,
    theory_check,
)

__all__ = [
    "Table",
    "all_tables",
    "correlation_table",
    "cost_table",
    "masking_table",
    "quality_table",
    "side_by_side",
    "sweep_table",
    "theory_check",
    "write_comparison",
    "write_report",
]
