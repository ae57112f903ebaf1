"""Sphinx: `sphinx-build -W docs docs/_build`."""

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
