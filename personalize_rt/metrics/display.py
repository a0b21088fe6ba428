"""The table of metrics as HTML and on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from personalize_rt.notebook.markup import page, tag

if TYPE_CHECKING:
    from personalize_rt.metrics.table import Metrics

__all__ = ["metrics_html", "metrics_lines"]


def metrics_html(metrics: Metrics) -> str:
    """Render the table as HTML."""
    heads = tag("tr", tag("th", "metric", scope="col"), tag("th", "value", scope="col", class_="number"))
    rows = (
        tag("tr", tag("th", name.replace("_", " "), scope="row"), tag("td", f"{value:.4f}", class_="number"))
        for name, value in metrics.items()
    )
    caption = tag("caption", tag("strong", "Metrics"), tag("small", _subtitle(metrics)))
    return page(tag("table", caption, tag("thead", heads), tag("tbody", *rows)), label="Metrics")


def metrics_lines(metrics: Metrics) -> Iterator[Any]:
    """Render the table for a terminal."""
    from rich.text import Text

    from personalize_rt.notebook.terminal import new_table

    table = new_table()
    table.add_column("metric", overflow="fold")
    table.add_column("value", justify="right")
    for name, value in metrics.items():
        table.add_row(name, f"{value:.4f}")
    yield Text.assemble(("Metrics", "bold"), f" {_subtitle(metrics)}")
    yield table


def _subtitle(metrics: Metrics) -> str:
    users = f"means over {metrics.users:,} user{'' if metrics.users == 1 else 's'}"
    return users if metrics.ideal == "found" else f"{users}, ideal gain of all relevant items"
