"""A maze's values as panels of cells on one colour scale."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from accelerated.agents.checkpoints import write_atomically

Array = NDArray[np.float64]

LENGTH, WIDTH = 7, 2
"""Of toy_maze: columns of a corridor, and its rows."""


def cells() -> list[tuple[int, int]]:
    """(row, column) of each state of the toy maze in order; the wall is where none is."""
    wall = [(WIDTH, column) for column in range(LENGTH - WIDTH)]
    return [(row, column) for row in range(2 * WIDTH + 1) for column in range(LENGTH) if (row, column) not in wall]


def laid_out(values: Array) -> Array:
    """[S] -> [rows, columns], NaN where the wall is."""
    places = cells()
    if len(values) != len(places):
        raise ValueError(f"there must be a value for each of the {len(places)} cells; got {len(values)}")
    grid = np.full((2 * WIDTH + 1, LENGTH), np.nan)
    for place, value in zip(places, values, strict=True):
        grid[place] = value
    return grid


def draw_maze(path: Path, panels: Mapping[str, Array], *, goal: int, start: int, title: str) -> None:
    """A PNG with one panel [S] of state values by name; the goal and the start are marked, the goal has no value."""
    from matplotlib.figure import Figure

    columns = 4
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(4.0 * columns, 3.2 * rows), dpi=110, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).flatten()
    top = max(float(np.delete(values, goal).max()) for values in panels.values())
    places, image = cells(), None
    for axis, (name, values) in zip(axes, panels.items(), strict=False):
        shown = values.copy()
        shown[goal] = np.nan
        axis.set_facecolor("#3a3a3a")
        image = axis.imshow(laid_out(shown), cmap="viridis", vmin=0.0, vmax=top)
        for state, (row, column) in enumerate(places):
            _annotate(axis, row, column, "goal" if state == goal else f"{values[state]:.2f}", values[state] > 0.6 * top)
        axis.text(places[start][1], places[start][0] + 0.36, "start", ha="center", va="center", fontsize=6, color="white")
        row, column = places[goal]
        axis.add_patch(_square(row, column))
        axis.set(title=name, xticks=[], yticks=[])
    for axis in axes[len(panels) :]:
        axis.axis("off")
    if image is not None:
        figure.colorbar(image, ax=list(axes), label="value of the state (the wall is dark)", shrink=0.8)
    figure.suptitle(title)
    content = io.BytesIO()
    figure.savefig(content, format="png", metadata={"Software": None})
    write_atomically(path, content.getvalue())


def _annotate(axis: object, row: int, column: int, text: str, bright: bool) -> None:
    dark = bright or text == "goal"
    axis.text(column, row, text, ha="center", va="center", fontsize=8, color="black" if dark else "white")  # type: ignore[attr-defined]


def _square(row: int, column: int) -> object:
    from matplotlib.patches import Rectangle

    return Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor="#e69f00", zorder=1)
