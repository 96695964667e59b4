"""The page as HTML: what `eval.report.content` says, put into the templates beside this file."""

from collections.abc import Sequence
from functools import cache
from importlib import resources
from importlib.util import find_spec

from jinja2 import DictLoader, Environment, StrictUndefined

from eval.report.content.parts import Page

ENTRY = "window.vegaEmbed = vegaEmbed;"
"""What the script of the interactive views gives to the page."""
TEMPLATES = ("page.html", "parts.html", "style.css", "charts.js")


def rendered(page: Page) -> str:
    """The page in one file, with everything that it shows inside."""
    return _environment().get_template("page.html").render(page=page)


def explorable() -> bool:
    """Whether the library of the interactive views is installed: the extra `page`."""
    return find_spec("vl_convert") is not None


@cache
def library() -> str:
    """Vega, Vega-Lite and Vega-Embed, in one script that loads nothing."""
    import vl_convert

    return str(vl_convert.javascript_bundle(ENTRY)).replace("</script", "<\\/script")


@cache
def _environment() -> Environment:
    folder = resources.files("eval.report") / "templates"
    texts = {name: (folder / name).read_text(encoding="utf-8") for name in TEMPLATES}
    environment = Environment(
        loader=DictLoader(texts), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["parts"] = _parts
    return environment


def _parts(command: str) -> Sequence[str]:
    """A command cut where it may go on in the next line."""
    return command.replace(" --", "\n--").split("\n")
