"""How Sphinx builds the site of this documentation. Build it from the root of the repository:

    pip install -e '.[docs]'
    python docs/build.py

The pages are the files of this folder as they are, the README's parts, and what docstrings and
examples/ say. `site_pages.py` makes pages of what GitHub shows in other ways.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import site_pages

import mnistgpu

project = "mnistgpu"
author = "The mnistgpu authors"
copyright = author
version = release = mnistgpu.__version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
    "site_pages",
]
exclude_patterns = ["_build", "gallery/**/*.ipynb", "gallery/**/*.zip", "gallery/**/*.json"]
suppress_warnings = ["config.cache"]  # functions in sphinx_gallery_conf

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4  # as GitHub does

smartquotes = False  # "fast" in a docstring is a string of Python
default_role = "code"  # docstrings write names in single backticks
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # shapes and meanings stand in the text
numpydoc_show_class_members = False  # autodoc lists them

sphinx_gallery_conf = {
    "examples_dirs": ["../examples"],
    "gallery_dirs": ["gallery"],
    "filename_pattern": site_pages.RUN,
    "ignore_pattern": r"notebook\.py",  # docs/notebook.md shows it
    "within_subsection_order": "FileNameSortKey",
    "reset_argv": site_pages.Arguments(),
    "image_scrapers": (site_pages.written_pictures,),
    "reset_modules": (),
    "show_memory": False,
    "show_signature": False,
    "download_all_examples": False,
    "min_reported_time": 1e9,
    "write_computation_times": False,
    "notebook_extensions": set(),
    "plot_gallery": True,
    "abort_on_example_error": True,
}

html_theme = "pydata_sphinx_theme"
html_title = "mnistgpu"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "github_url": site_pages.HOME,
    "header_links_before_dropdown": 7,
    "show_prev_next": True,
    "navbar_align": "left",
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
    "footer_start": ["copyright"],
    "footer_end": ["theme-version"],
}
html_context = {"default_mode": "auto"}  # light or dark, as the reader's system is
html_sidebars = {"index": [], "start": [], "explanation": []}
