"""A job's result: per site and merged, as numbers, as text, and as a chart in a notebook."""

import html
from collections.abc import Iterable, Sequence
from typing import Any

from cohortlab.federation.chart import Bar, Chart, svg
from cohortlab.federation.contracts import HistogramResult, JobResult, MergedHistogram, Moments


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """An HTML table of plain texts."""
    left = "style='text-align:left'"
    top = "".join(f"<th {left}>{html.escape(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td {left}>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def _moments(moments: Moments | None) -> tuple[str, str]:
    return ("withheld", "withheld") if moments is None else (f"{moments.mean:.4g}", f"{moments.sd:.4g}")


def _number(value: int | None) -> str:
    return "withheld" if value is None else f"{value:,}"


class Result:
    """The result of a job. `merged` is over the sites that released, `sites` holds each one's own.

    A count of None was suppressed by the site, since few voxels or subjects lie behind it.
    """

    def __init__(self, answer: JobResult) -> None:
        self.job = answer.job
        self.merged: MergedHistogram = answer.merged
        self.sites: dict[str, HistogramResult] = dict(answer.sites)

    @property
    def summary(self) -> str:
        """How many sites the result is from: ``2 of 3 sites``."""
        return self.job.summary

    @property
    def count(self) -> int:
        """Voxels, over all sites that told their number."""
        return self.merged.count

    @property
    def mean(self) -> float | None:
        """Mean over the voxels of all cells that are shown; None when none is."""
        return self.merged.moments.mean if self.merged.moments else None

    @property
    def sd(self) -> float | None:
        """Population standard deviation over the same voxels as `mean`."""
        return self.merged.moments.sd if self.merged.moments else None

    @property
    def edges(self) -> list[float]:
        """The edges of the bins, one more than there are bins."""
        return next(iter(self.sites.values())).edges

    @property
    def counts(self) -> list[int | None]:
        """The merged count of each bin; None where any site withheld its own."""
        return [None if cell.suppressed else cell.count for cell in self.merged.cells]

    @property
    def suppressed(self) -> int:
        """How many cells, over all sites, were withheld."""
        return sum(site.suppressed for site in self.sites.values())

    def to_dict(self) -> dict[str, Any]:
        """Everything, as plain values that JSON knows."""
        return {
            "job": self.job.model_dump(mode="json"),
            "summary": self.summary,
            "merged": self.merged.model_dump(mode="json"),
            "sites": {name: site.model_dump(mode="json") for name, site in self.sites.items()},
        }

    def _rows(self) -> list[tuple[str, ...]]:
        rows: list[tuple[str, ...]] = []
        for part in self.job.sites:
            site = self.sites.get(part.site)
            if site is None:
                rows.append((part.title, part.state.value, "", "", "", "", part.message))
            else:
                note = f"{site.suppressed} cells withheld (fewer than {site.minimum_count} voxels, or needed to protect one)"
                cells = (_number(site.count), *_moments(site.moments), f"{site.subjects:,}", note if site.suppressed else "")
                rows.append((part.title, part.state.value, *cells))
        count = f"{self.merged.count:,}" + (" or more" if self.merged.count_suppressed else "")
        rows.append(("all", self.summary, count, *_moments(self.merged.moments), f"{self.merged.subjects:,}", ""))
        return rows

    def __repr__(self) -> str:
        head = ("site", "state", "voxels", "mean", "SD", "subjects", "note")
        rows = [head, *self._rows()]
        widths = [max(len(row[i]) for row in rows) for i in range(len(head) - 1)]
        lines = ["  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]).rstrip() for row in rows]
        return f"{self.job.task} on {self.job.dataset}: {self.summary}\n" + "\n".join(lines)

    def _repr_html_(self) -> str:
        title = f"{self.job.task} on {self.job.dataset}: {self.summary}"
        head = ("site", "state", "voxels", "mean", "SD", "subjects", "note")
        return f"<div><strong>{html.escape(title)}</strong>{self.svg()}{table(head, self._rows())}</div>"

    def svg(self) -> str:
        """The merged histogram as an SVG chart; hatched where a site withheld a count."""
        edges = self.edges
        bars = [Bar(edges[i], edges[i + 1], cell.count, cell.suppressed) for i, cell in enumerate(self.merged.cells)]
        modality = str(self.job.parameters.get("modality", ""))
        label = "CT value (HU)" if modality == "CT" else f"{modality} value"
        return svg(Chart(bars, len(self.sites), label, f"Histogram over {self.summary}"))
