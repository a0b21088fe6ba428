"""Plots in the cells of a real notebook kernel."""

from __future__ import annotations

import pytest

from tests.optional import optional

CELLS = (
    "from personalize_rt import Ranking\nfrom personalize_rt.notebook import plots\n"
    "answer = Ranking(['a', 'b', 'c'], scores=[0.5, 0.3, 0.2])",
    "plots.score_curve(answer);",
    "plots.score_curve(answer);",
    "import matplotlib.pyplot as plt\nplt.plot([1, 2]);",
)


@pytest.mark.timeout(200)  # a process of its own, on a busy machine
def test_every_plot_of_a_notebook_is_shown_and_those_of_others_too() -> None:
    for package in ("ipykernel", "matplotlib"):
        optional(package)
    nbclient, nbformat = optional("nbclient"), optional("nbformat")
    cells = [nbformat.v4.new_code_cell(cell) for cell in CELLS]
    notebook = nbformat.v4.new_notebook(cells=cells)
    nbclient.NotebookClient(notebook, timeout=150, kernel_name="python3").execute()
    pictures = [sum("image/png" in output.get("data", {}) for output in cell.outputs) for cell in notebook.cells]
    assert pictures == [0, 1, 1, 1]
