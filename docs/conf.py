"""How Sphinx makes the documentation: `make docs`. Nothing is loaded from outside, when it is built or read."""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "_ext"))

project = "alphadx"
author = "the alphadx authors"
copyright = author
version = release = version_of("alphadx")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "api_pages",
    "command_help",
    "mathml",
    "preset_pages",
    "record_tables",
]
exclude_patterns = ["_build", "_ext", "commands", "**/.ipynb_checkpoints"]
html_theme = "furo"
html_title = f"alphadx {release}"
html_static_path = ["_static"]
html_css_files = ["alphadx.css"]
html_copy_source = False
html_show_sphinx = False
html_math_renderer = "mathml"

myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath", "attrs_inline"]
myst_heading_anchors = 3
suppress_warnings = ["toc.empty_glob"]

# A notebook is run when it or the code has changed; two minutes are the most that one may take.
nb_execution_mode = "cache"
nb_execution_timeout = 240
nb_execution_show_tb = True
nb_merge_streams = True

default_role = "literal"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
