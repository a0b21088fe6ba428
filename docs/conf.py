"""How the pages are built; `sphinx-build -n -W docs docs/_build/html` must pass."""

from __future__ import annotations

import importlib
import importlib.util
import re
from pathlib import Path
from typing import Any

from personalize_rt._version import __version__

project, package = "personalize-rt", "personalize_rt"
author = copyright = "The personalize-rt contributors"
release = version = __version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_title = f"personalize-rt {release}"
copybutton_prompt_text = ">>> "
myst_heading_anchors = 3

# The notebooks run, in this interpreter, whenever the pages are built; an error in a cell is one of the build.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 120
nb_merge_streams = True

autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_numpy_docstring = False
# "Attributes:" becomes part of the description of its class, beside the members that autodoc finds by itself.
napoleon_use_ivar = True
# Types stand in signatures; what comes before a colon in "Returns:" is prose.
napoleon_attr_annotations = False
napoleon_use_rtype = False

# Names of other packages are not linked: their inventories would have to be fetched from the web.
nitpick_ignore_regex = [
    ("py:.*", r"(?!personalize_rt\.)[a-z_]+(\.\w+)+"),
    ("py:class", "Decimal"),
    ("py:class", r"personalize_rt\.\w+(\.\w+)*T"),  # type variables
    # What users never build themselves.
    ("py:class", r"Param|Allowed|personalize_rt\.verify\.(requests|judges)\.\w+"),
    ("py:class", r"personalize_rt\.handles\.Bound|personalize_rt\.testing\.(waiting\.)?_\w+"),
    ("py:class", r"personalize_rt\.(operations\.Request|transport\.\w+\.\w+|filters\.\w+\.\w+|notebook\.\w+\.\w+)"),
    (
        "py:class",
        r"Console|Hook|Scores|Comparison|Explanation|Row|Value|Operator|BreakerState|Bound|Answer|Flights|Catalogue|Selector|Fallback|Filter|BoundFilter|Axes",
    ),
    ("py:class", r"Scalar|C|CurrentItemColumn|OfItems|TracerProvider|MeterProvider|Mode|AbstractContextManager"),
    ("py:class", r"personalize_rt\.metrics\.evaluation\.(Offers|Ranks|Recommends|Runtime)"),
    ("py:class", r"personalize_rt\.(bulk\.(course|threads|working)|experiments\.table)\.\w+"),
    # What as_boto3() gives, and the options that a local runtime takes.
    ("py:class", r"(Async)?Boto3Client|(Build|Call|Tracker)Options|OnFull|StrPath"),
    ("py:class", r"personalize_rt\.segments\.Segment|personalize_rt\.resilience\.event_queue\.Pending"),
    ("py:class", r"AnswerT|AsyncPersonalizeRuntime|BaseContext|FilePath|OnError|Runtime"),
    ("py:(func|mod)", r"personalize_rt\.(notebook|filters)\..*"),
    ("py:class", r"personalize_rt\.local\.(control\.\w+|datasets|engine|events|journal|messages|recipes)\.[\w.]+"),
    ("py:class", r"personalize_rt\.local\.(settings|wire)\.[\w.]+"),
]


def public_paths() -> dict[str, str]:
    """Where users import each public name from, by the place where it is written."""
    paths: dict[str, str] = {}
    for page in sorted((Path(__file__).parent / "reference").glob("*.md"), key=lambda page: page.stem != package):
        name = page.stem if page.stem == package else f"{package}.{page.stem}"
        if importlib.util.find_spec(name) is None:  # no page of a module
            continue
        module = importlib.import_module(name)
        for public in module.__all__:
            value = getattr(module, public)
            home = f"{getattr(value, '__module__', name)}.{getattr(value, '__qualname__', public)}"
            path = paths.setdefault(home, f"{name}.{public}")
            paths |= {f"{name}.{public}": path, public: paths.get(public, path)}
    return paths


PUBLIC = public_paths()


def link_public_name(app: Any, env: Any, node: Any, text: Any) -> Any:
    """Lead a reference such as ``:class:`Limits``` or ``personalize_rt.limits.Limits`` to the public name."""
    if node.get("refdomain") != "py":
        return None
    name, rest = node.get("reftarget", ""), ""
    while name not in PUBLIC:
        name, dot, member = name.rpartition(".")
        if not dot:
            return None
        rest = f".{member}{rest}"
    return env.domains["py"].resolve_xref(
        env, node["refdoc"], app.builder, node["reftype"], PUBLIC[name] + rest, node, text
    )


_CONTENTS = re.compile(r"(?:^\*\*(.+)\*\*\n\n)?^<!-- toctree -->\n\n((?:^\* \[.+\]\(.+\.md\)\n)+)", re.MULTILINE)


def with_toctrees(page: str) -> str:
    """Make a toctree of each list of links below ``<!-- toctree -->``; on a forge it is the list of links."""

    def toctree(found: re.Match[str]) -> str:
        caption = f":caption: {found[1]}\n" if found[1] else ""
        entries = "\n".join(re.findall(r"\((\S+)\.md\)$", found[2], re.MULTILINE))
        return f"```{{toctree}}\n{caption}:maxdepth: 1\n\n{entries}\n```\n"

    return _CONTENTS.sub(toctree, page)


def read_toctrees(app: Any, name: str, source: list[str]) -> None:
    """Sphinx calls this with each page that it reads."""
    source[0] = with_toctrees(source[0])


def keep_as_prose(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Keep napoleon from taking what a property says before a colon for its type."""
    if what in {"attribute", "data", "property"} and lines:
        lines[0] = f": {lines[0]}"


def shorten(app: Any, what: str, name: str, obj: Any, options: Any, signature: str | None, result: Any) -> Any:
    """Show a default as a reader would write it: ``Limits()`` and ``monotonic``, not the ``repr`` of the value."""
    if signature is None:
        return None
    signature = signature.replace("= NOTHING", "= ...")  # attrs: made anew for each
    signature = re.sub(r"<(?:built-in )?(?:function|method) (\w+)[^>]*>", r"\1", signature)
    return re.sub(r"\b(Limits|Metadata|ResponseInfo|RetryPolicy)\([^()]*\)", r"\1()", signature), result


def setup(app: Any) -> None:
    """Sphinx calls this."""
    app.connect("source-read", read_toctrees)
    app.connect("missing-reference", link_public_name)
    app.connect("autodoc-process-docstring", keep_as_prose, priority=100)
    app.connect("autodoc-process-signature", shorten)
