"""A histogram as SVG, for outputs that are kept in a notebook: no script, no style of the page, readable without colour."""

import hashlib
import html
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 560, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 12, 44
_BLUE = "#3b6ea8"


@dataclass(frozen=True)
class Bar:
    """One bin. `suppressed`: how many sites withheld their count; `count` is what the others have."""

    low: float
    high: float
    count: int
    suppressed: int


@dataclass(frozen=True)
class Chart:
    """Bars from left to right, of `sites` sites; the axis' label and the chart's title."""

    bars: Sequence[Bar]
    sites: int
    label: str
    title: str


def short(value: float) -> str:
    """A number in few characters: 1250 -> 1.25k."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def svg(chart: Chart) -> str:
    """The chart. A bin that a site withheld is hatched up to the top: its true height is not known."""
    most = max((bar.count for bar in chart.bars), default=0) or 1
    width, height = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM
    step = width / len(chart.bars)
    base = _TOP + height
    hatch = f"cohortlab-hatch-{hashlib.sha256(chart.title.encode()).hexdigest()[:8]}"
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
            f'font-family="sans-serif" font-size="11" style="max-width:100%;display:block">'
        ),
        f"<title>{html.escape(chart.title)}</title>",
        (
            f'<defs><pattern id="{hatch}" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
            f'<line x1="0" y1="0" x2="0" y2="6" stroke="#888" stroke-width="1.5"/></pattern></defs>'
        ),
    ]
    for i, bar in enumerate(chart.bars):
        x, tall = _LEFT + i * step, height * bar.count / most
        said = f"{short(bar.low)} to {short(bar.high)}: {bar.count:,}" + (
            f", {bar.suppressed} of {chart.sites} sites withheld" if bar.suppressed else ""
        )
        hatched = (
            f'<rect x="{x:.2f}" y="{_TOP}" width="{step:.2f}" height="{height}" fill="url(#{hatch})" opacity="0.6"/>'
            if bar.suppressed
            else ""
        )
        solid = f'<rect x="{x:.2f}" y="{base - tall:.2f}" width="{max(step - 0.5, 0.5):.2f}" height="{tall:.2f}" fill="{_BLUE}"/>'
        parts.append(f"<g><title>{html.escape(said)}</title>{hatched}{solid}</g>")
    parts.append(f'<path d="M{_LEFT} {_TOP}V{base}H{WIDTH - _RIGHT}" fill="none" stroke="currentColor"/>')
    for share in (0.0, 0.5, 1.0):
        y = base - height * share
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end" fill="currentColor">{short(most * share)}</text>')
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        value = chart.bars[0].low + (chart.bars[-1].high - chart.bars[0].low) * share
        anchor = "middle" if share < 1 else "end"
        parts.append(
            f'<text x="{_LEFT + width * share:.1f}" y="{base + 15}" text-anchor="{anchor}" fill="currentColor">{short(value)}</text>'
        )
    parts.append(
        f'<text x="{_LEFT + width / 2}" y="{HEIGHT - 8}" text-anchor="middle" fill="currentColor">{html.escape(chart.label)}</text>'
    )
    if any(bar.suppressed for bar in chart.bars):
        parts.append(
            f'<rect x="{WIDTH - 190}" y="{HEIGHT - 18}" width="12" height="12" fill="url(#{hatch})" stroke="#888"/>'
            f'<text x="{WIDTH - 173}" y="{HEIGHT - 8}" fill="currentColor">hatched: withheld by a site</text>'
        )
    parts.append("</svg>")
    return "".join(parts)
