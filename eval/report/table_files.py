"""A table as files: numbers to compute with, and texts to paste into a paper or a page of GitHub."""

from eval.tables.latex import latex
from eval.tables.markdown import markdown
from eval.tables.table import Table


def table_files(table: Table, heading: str, name: str) -> dict[str, str]:
    """Contents by their paths below a results folder.

    Args:
        table: as it is printed.
        heading: of it, which LaTeX has as a caption.
        name: of its files: `NAME.csv` with all digits, `tables/NAME.tex` and `tables/NAME.md` as printed.
    """
    numbers = table.frame if table.exact is None else table.exact
    files = {f"{name}.csv": numbers.to_csv(index=False)}
    if not table.frame.empty:
        files |= {f"tables/{name}.tex": latex(table, heading, name), f"tables/{name}.md": markdown(table)}
    return files
