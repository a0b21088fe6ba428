"""HTML with texts that are always escaped, and the style of everything that this package shows."""

from __future__ import annotations

import re
from html import escape

__all__ = ["Html", "escaped", "page", "tag"]

# Control characters, lone surrogates and noncharacters.
_FORBIDDEN = re.compile(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufdcf\ufdf0-\ufffd\U00010000-\U0010ffff]")


class Html(str):
    """HTML, which :func:`tag` does not escape."""

    __slots__ = ()


def tag(name: str, *children: str | None, **attributes: str | int | None) -> Html:
    """Make an element. Children that are not :class:`Html` are texts, and are escaped.

    Args:
        name: The name of the element.
        children: Its children; ``None`` is left out.
        attributes: Its attributes; ``class_`` is ``class``, other underscores become hyphens. ``None`` is left out.
    """
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escaped(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    inside = "".join(child if isinstance(child, Html) else escaped(child) for child in children if child is not None)
    return Html(f"<{name}{given}>{inside}</{name}>")


def escaped(text: str) -> Html:
    """Escape a text for HTML; characters that HTML forbids, such as NUL, become U+FFFD."""
    return Html(escape(_FORBIDDEN.sub("\ufffd", text)))


def page(*children: str | None, label: str) -> Html:
    """Make a self-contained piece of HTML: with its own style, without scripts and external resources.

    Args:
        children: Its content.
        label: Its name for screen readers.
    """
    style = Html(f"<style>{_STYLE}</style>")
    return tag("div", style, *children, class_="personalize-rt", role="group", aria_label=label)


# `light-dark()` follows `color-scheme`, which is that of the reader's system unless the notebook sets a theme.
# The class is repeated so that these rules take precedence over JupyterLab's rules for tables.
_STYLE = """
.personalize-rt{color-scheme:light dark;--paper:light-dark(#fff,#16191f);--ink:light-dark(#1f2430,#e4e7ec);
--quiet:light-dark(#5d6675,#9aa3b2);--line:light-dark(#e3e7ee,#2a2f39);--track:light-dark(#eef1f6,#232832);
--bar:light-dark(#6f9bd8,#5b8ed6);--up:light-dark(#1a7444,#62c58d);--down:light-dark(#b3402e,#ef8c7b);
--promoted:light-dark(#fdf0cf,#3b2f10);--promoted-ink:light-dark(#74510a,#f0c869);
--warn:light-dark(#fdeee6,#38231a);--warn-ink:light-dark(#8c3a12,#f5a37c);
display:inline-block;box-sizing:border-box;min-width:20rem;max-width:100%;margin:.25rem 0;padding:.9rem 1rem .7rem;
overflow-x:auto;border:1px solid var(--line);border-radius:10px;background:var(--paper);color:var(--ink);
font:13px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}
[data-jp-theme-light="true"] .personalize-rt,.vscode-light .personalize-rt,[data-theme="light"] .personalize-rt,
[theme="light"] .personalize-rt{color-scheme:light}
[data-jp-theme-light="false"] .personalize-rt,.vscode-dark .personalize-rt,
.vscode-high-contrast:not(.vscode-high-contrast-light) .personalize-rt,[data-theme="dark"] .personalize-rt,
[theme="dark"] .personalize-rt{color-scheme:dark}
& table{width:100%;margin:0;border:0;border-collapse:collapse;table-layout:auto;background:none;color:inherit;
font-size:inherit}
& caption{padding:0 0 .55rem;text-align:left;caption-side:top;color:inherit;font-size:inherit}
& caption strong{font-size:1.1em;font-weight:650}
& caption small{display:block;margin-top:.1rem;color:var(--quiet);font-size:.92em;overflow-wrap:anywhere}
& tr,& tbody tr:hover,& tbody tr:nth-child(odd),& tbody tr:nth-child(even){background:none;border:0}
& th,& td{max-width:30rem;padding:.36rem .7rem .36rem 0;border:0;text-align:left;vertical-align:middle;
font-weight:400;white-space:normal;overflow-wrap:break-word;background:none;color:inherit}
& th:last-child,& td:last-child{padding-right:0}
& thead th{padding-top:0;border-bottom:1px solid var(--line);color:var(--quiet);font-size:.88em;
overflow-wrap:normal;white-space:nowrap}
& tbody tr+tr>*{border-top:1px solid var(--line)}
& .rank,& thead .rank{width:2.2rem;color:var(--quiet);text-align:right;font-variant-numeric:tabular-nums}
& .number{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
& .title{display:block;font-weight:600}
& code{padding:0;border:0;background:none;color:inherit;font:.94em/1.4 ui-monospace,SFMono-Regular,Menlo,monospace;
white-space:pre-wrap}
& .title+code{color:var(--quiet);font-size:.86em}
& .score{width:9.5rem;white-space:nowrap;font-variant-numeric:tabular-nums}
& .bar{display:block;width:9rem;height:4px;margin-top:.22rem;border-radius:2px;background:var(--track)}
& .bar span{display:block;height:100%;border-radius:2px;background:var(--bar)}
& .why{min-width:9rem}
& .mark{display:inline-block;margin:.08rem .3rem .08rem 0;padding:.02rem .5rem;border-radius:.7rem;
background:var(--track);color:var(--quiet);font-size:.88em}
& .promoted{background:var(--promoted);color:var(--promoted-ink)}
& .apart [scope="rowgroup"]{padding-top:.9rem;color:var(--quiet);font-size:.92em}
& .apart td,& .apart .title,& .apart code{color:var(--quiet);font-weight:400}
& .degraded{margin:0 0 .8rem;padding:.5rem .75rem;border-left:3px solid var(--warn-ink);border-radius:4px;
background:var(--warn);color:var(--warn-ink);overflow-wrap:anywhere}
& .note{margin:.6rem 0 .1rem;color:var(--quiet);font-size:.92em;overflow-wrap:anywhere}
& .up{color:var(--up)}& .down{color:var(--down)}& .quiet{color:var(--quiet)}
& dl{display:flex;flex-wrap:wrap;gap:.5rem 1.8rem;margin:0 0 .8rem;padding:0}
& dl div{display:block}
& dt,& dd{display:block;float:none;width:auto;margin:0;padding:0}
& dt{color:var(--quiet);font-size:.88em;font-weight:400}
& dd{font-size:1.25em;font-weight:600;font-variant-numeric:tabular-nums}
""".strip().replace("& ", ".personalize-rt.personalize-rt ")
