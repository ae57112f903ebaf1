"""Sphinx: `sphinx-build -W docs docs/_build`."""

import re

import chowtape_cli

project = "chowtape"
author = "The chowtape authors"
release = chowtape_cli.__version__
myst_heading_anchors = 2
extensions = ["myst_parser", "sphinx_click", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["dollarmath", "amsmath"]
html_theme = "furo"
html_title = "chowtape"
exclude_patterns = ["_build", "speed_tables.md"]  # a part of speed.md
autodoc_typehints = "description"


def _quote_globs(_app, _context, lines):
    """Keep the stars of globs in help texts from being read as markup."""
    lines[:] = [re.sub(r"'([^']*\*[^']*)'", r"``\1``", line) for line in lines]


def setup(app):
    """Connect what changes the texts of commands."""
    app.connect("sphinx-click-process-description", _quote_globs)
    app.connect("sphinx-click-process-options", _quote_globs)
