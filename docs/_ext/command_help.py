"""What the command prints as its help, asked for when the documentation is built: `{command-help} measure`."""

import contextlib
import io
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from eval.cli import main


class CommandHelp(SphinxDirective):
    """The help of a word of `alphadx`, or of the command itself without one."""

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """What is printed, as it is."""
        text = printed([*self.arguments, "--help"])
        if not text.strip():
            raise self.error(f"alphadx {' '.join(self.arguments)} --help printed nothing.")
        return [nodes.literal_block(text, text, language="text")]


def printed(args: list[str]) -> str:
    """What the command prints."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        main(args)
    return out.getvalue()


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("command-help", CommandHelp)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
