"""One page per preset, made of its YAML and of the record of its fast form; and the list of what repeats what."""

from pathlib import Path
from typing import Any

import record_files
import yaml
from api_pages import write_if_new
from sphinx.application import Sphinx

from eval.report.published.index import index
from eval.studies.catalogue import expected

FOLDER = "presets"
PRESETS = Path(__file__).resolve().parents[2] / "eval" / "studies" / "presets"
NEEDS_FILES = ("MNIST", "CIFAR", "TinyImageNet", "ImageFolders", "HDF5Images")
"""Data sets whose files a preset reads, so that its command names their folder."""


def presets() -> list[str]:
    """Their names."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def content_of(name: str) -> dict[str, Any]:
    """The YAML of a preset."""
    return yaml.safe_load((PRESETS / f"{name}.yaml").read_text(encoding="utf-8"))


def write_pages(app: Sphinx) -> None:
    """Write the pages before Sphinx looks for them."""
    folder = Path(app.srcdir) / FOLDER
    folder.mkdir(exist_ok=True)
    for name in presets():
        write_if_new(folder / f"{name}.md", page(name, content_of(name)))
    write_if_new(folder / "index.md", index_page())


def index_page() -> str:
    """The list of presets, and of every table and figure of the papers with what repeats it."""
    times = "| preset | what | paper size | `--fast` |\n|---|---|---|---|\n" + "\n".join(
        f"| [`{name}`]({name}.md) | {source['title']} | {expected(source, fast=False)} | {fast_time(source)} |"
        for name, source in ((name, content_of(name)) for name in presets())
    )
    items = "| paper | item | shows | presets | figures |\n|---|---|---|---|---|\n" + "\n".join(
        f"| {entry.paper} | {entry.item} | {entry.shows} | {linked(entry.presets)} | {coded(entry.figures)} |"
        for entry in index()
    )
    toc = "\n".join(["```{toctree}", ":hidden:", "", *presets(), "```"])
    return "\n\n".join([INTRODUCTION, times, "## Every table and figure of the papers", INDEXED, items, toc]) + "\n"


INTRODUCTION = """# Presets: the papers, table by table

A preset is a YAML file: data sets, recipes, seeds, what to measure, and what the paper claims. `alphadx study NAME`
trains and measures all of it, and goes on where a killed run stopped. Most have two forms. The first has the
paper's size, for a GPU. The second, `--fast`, ends on a CPU in minutes; its page says what it leaves out.

Times of the paper's size are estimates: none of these studies has been run whole in that size. Times of the
fast forms are measured. The tables on the pages are those that the fast forms printed; they are read from
`benchmarks/records/studies` when this documentation is built."""
INDEXED = """What repeats it here. A *figure* is measured on any model with `--figures NAME`; what has none is a table
or a picture that every page of a study has."""


def fast_time(source: dict[str, Any]) -> str:
    """How long the fast form takes, if there is one."""
    return expected(source, fast=True) if isinstance(source.get("fast"), dict) else "–"


def linked(names: tuple[str, ...]) -> str:
    """Presets with links to their pages; a folder of networks to measure is no preset."""
    known = presets()
    return " ".join(f"[`{name}`]({name}.md)" if name in known else f"`alphadx measure {name}`" for name in names)


def coded(names: tuple[str, ...]) -> str:
    """Names of figures."""
    return " ".join(f"`{name}`" for name in names) or "–"


def page(name: str, source: dict[str, Any]) -> str:
    """The page of a preset."""
    fast = source["fast"] if isinstance(source.get("fast"), dict) else None
    parts = [f"# `{name}`", source["title"] + ".", facts(source), run_it(name, source, fast)]
    parts += listed("What differs from the paper", source.get("differs"))
    parts += listed("What the fast form has instead", (fast or {}).get("differs"))
    parts += claims(source)
    parts += found(name)
    parts += [
        f"## Configuration\n\n```{{literalinclude}} ../../eval/studies/presets/{name}.yaml\n:language: yaml\n```"
    ]
    return "\n\n".join(parts) + "\n"


def facts(source: dict[str, Any]) -> str:
    """What a preset repeats, and how long it takes."""
    lines = [f"- Repeats {source['paper']}."] if "paper" in source else []
    lines.append(f"- Takes: {expected(source, fast=False)}.")
    if isinstance(source.get("fast"), dict):
        lines.append(f"- Takes with `--fast`: {expected(source, fast=True)}.")
    return "\n".join(lines)


def run_it(name: str, source: dict[str, Any], fast: dict[str, Any] | None) -> str:
    """The commands."""
    reads = any(kind in (PRESETS / f"{name}.yaml").read_text(encoding="utf-8") for kind in NEEDS_FILES)
    root = " --data-root DIR" if reads else ""
    lines = [f"alphadx study {name}{root}"] + ([f"alphadx study {name} --fast{root}"] if fast is not None else [])
    return "\n".join(["```bash", *lines, "```"])


def listed(heading: str, sentences: Any) -> list[str]:
    """A list below a heading, if there is anything to list."""
    if not sentences:
        return []
    return [f"## {heading}", "\n".join(f"- {sentence}" for sentence in sentences)]


def claims(source: dict[str, Any]) -> list[str]:
    """What the paper claims, which every run judges by rule."""
    told = [f"{claim['says'].rstrip('.')} ({claim['paper']})" for claim in source.get("claims", ())]
    return listed("Claims that a run judges", [*dict.fromkeys(told)])


def found(name: str) -> list[str]:
    """The tables of the saved record."""
    if name not in record_files.studies():
        return ["## Results", "No result of this preset is kept with the code yet."]
    record = record_files.read(f"studies/{name}")
    form = "the fast form" if "--fast" in record["command"] else "it"
    parts = ["## Results", f"What {form} printed. {STANDING}"]
    for heading in record["tables"]:
        parts += [f"### {heading}", f"```{{record-table}} studies/{name}\n:table: {heading}\n:notes:\n```"]
    return parts


STANDING = """In brackets stand 95 % intervals over samples; ± is the standard deviation over models of one recipe,
trained with other seeds. Rows of a paper say what it had that ours has not."""


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the pages."""
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
