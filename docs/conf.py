"""How the site is built: `python -m sphinx -W -n docs OUT`."""

project = "Touchstone"
author = "the authors of Touchstone"
extensions = ["myst_parser"]
exclude_patterns = ["_build"]
nitpicky = True

myst_heading_anchors = 3

html_theme = "furo"
html_title = "Touchstone"
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_show_copyright = False
smartquotes = False
highlight_language = "text"
