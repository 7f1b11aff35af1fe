"""Small drawings: how near a port comes to its bounds, and how the evidence of a statistical claim grew."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element

from properties._html_tags import Child, tag
from properties._statistics import MISSED
from properties._trial import RATIO_BINS

BAR, HIGH = 6, 26
"""Pixels: the width of a bar, the height of the tallest."""
WIDTH, HEIGHT = 132, 40
"""Pixels of a trajectory."""


def _svg(width: float, height: float, label: str, *children: Child) -> Element:
    return tag(
        "svg",
        *children,
        width=f"{width:g}",
        height=f"{height:g}",
        role="img",
        aria_label=label,
        viewBox=f"0 0 {width:g} {height:g}",
    )


def histogram(counts: Sequence[int], label: str) -> Element:
    """Bars by powers of two of error/bound, heights by the logarithm of the count, and a line where the bound is."""
    top = math.log1p(max(counts))
    tall = [max(2.0, HIGH * math.log1p(count) / top) if count else 0.0 for count in counts]
    bars = [f"M{place * BAR} {HIGH}v{-high:.4g}h{BAR - 1}v{high:.4g}z" for place, high in enumerate(tall) if high]
    beyond = bars.pop() if counts[-1] else None
    bound = (RATIO_BINS - 1) * BAR - 0.5
    return _svg(
        RATIO_BINS * BAR, HIGH + 1, label,
        tag("path", d="".join(bars), class_="bar") if bars else None,
        tag("path", d=beyond, class_="beyond") if beyond else None,
        tag("path", d=f"M0 {HIGH + 0.5}h{RATIO_BINS * BAR}M{bound:g} 0v{HIGH}", class_="axis"),
    )  # fmt: skip


def scale() -> Element:
    """The axis of those bars: none, powers of two, the bound, and beyond."""
    marks = [(0, "0", "start"), (2, "2⁻¹³", "start"), (8, "2⁻⁷", "start"), (RATIO_BINS - 1, "1", "middle")]
    texts = [tag("text", text, x=f"{place * BAR}", y=9, text_anchor=anchor) for place, text, anchor in marks]
    return _svg(RATIO_BINS * BAR, 12, "axis: 0, powers of two from 2^-13, 1", *texts)


def trajectory(record: Mapping[str, Any]) -> Element:
    """Powers of ten of the evidence against what is due, and of the proof of it, over the planned draws, with both thresholds."""
    alarm, proof = -math.log10(record["alpha"]), -math.log10(MISSED)
    top, planned = 1.15 * max(alarm, proof), max(record["planned"], *(step[0] for step in record["trajectory"]))

    def line(which: int) -> str:
        ends = [(0.0, 0.0), *((step[0] / planned, min(max(step[which] or 0.0, 0.0), top) / top) for step in record["trajectory"])]
        return "M" + "L".join(f"{1 + x * (WIDTH - 2):.4g} {HEIGHT - 1 - y * (HEIGHT - 2):.4g}" for x, y in ends)

    def level(power: float, kind: str) -> Element:
        return tag("path", d=f"M0 {HEIGHT - 1 - power / top * (HEIGHT - 2):.4g}H{WIDTH}", class_=f"{kind} limit")

    _, against, towards = record["trajectory"][-1]
    label = f"evidence 10^{_power(against)} of 10^{alarm:.1f} for an alarm, proof 10^{_power(towards)} of 10^{proof:.0f}"
    return _svg(
        WIDTH, HEIGHT, label,
        tag("path", d=f"M0.5 0V{HEIGHT - 0.5}H{WIDTH}", class_="axis"), level(alarm, "alarm"), level(proof, "proof"),
        tag("path", d=line(1), class_="alarm"), tag("path", d=line(2), class_="proof"),
    )  # fmt: skip


def _power(value: float | None) -> str:
    return f"{max(value or 0.0, 0.0):.1f}"


def legend() -> Element:
    """What the lines of a trajectory are."""
    return tag(
        "ul",
        *(
            tag("li", _svg(28, 8, "", tag("path", d="M0 4h28", class_=kind)), text)
            for kind, text in (
                ("alarm", "evidence against what is due"), ("alarm limit", "the alarm, 1/alpha"),
                ("proof", "proof of what is due"), ("proof limit", f"proved, {1 / MISSED:.0e}"),
            )
        ),
        class_="legend",
    )  # fmt: skip
