// The result on the page: an SVG histogram and a table, from released numbers only.
import { bars, countTicks, explanation, measured, sentence, SIZE, valueTicks, whole } from "./chart";
import { h, s } from "./dom";
import type { Moments, Outcome, Progress } from "./contract";

let patterns = 0;

function chart(outcome: Outcome, label: string): SVGSVGElement {
  const hatch = `cl-hatch-${(patterns += 1)}`;
  const base = SIZE.height - SIZE.bottom;
  const pattern = s("pattern", { id: hatch, width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" });
  pattern.append(s("line", { x1: 0, y1: 0, x2: 0, y2: 6, stroke: "#8a8a8a", "stroke-width": 1.6 }));
  const drawn = bars(outcome.merged, outcome.sites.length).map((bar) => {
    const group = s("g", { class: bar.hatched ? "cl-withheld" : "cl-known" }, s("title", {}, bar.label));
    // The full height takes the pointer too, so that a low bar can be read as easily as a high one.
    const fill = bar.hatched ? `url(#${hatch})` : "transparent";
    group.append(s("rect", { x: bar.x, y: SIZE.top, width: bar.width, height: base - SIZE.top, fill }));
    group.append(s("rect", { class: "cl-bar", x: bar.x, y: bar.y, width: Math.max(bar.width - 0.6, 0.4), height: bar.height }));
    return group;
  });
  const picture = s("svg", { viewBox: `0 0 ${SIZE.width} ${SIZE.height}`, role: "img", "aria-label": sentence(outcome) });
  picture.append(s("defs", {}, pattern), ...drawn);
  picture.append(s("path", { class: "cl-axis", d: `M${SIZE.left} ${SIZE.top}V${base}H${SIZE.width - SIZE.right}` }));
  picture.append(...countTicks(outcome.merged).map((tick) => s("text", { x: SIZE.left - 6, y: tick.at + 4, "text-anchor": "end" }, tick.text)));
  const ticks = valueTicks(outcome.merged);
  picture.append(
    ...ticks.map((tick, i) => s("text", { x: tick.at, y: base + 16, "text-anchor": i === ticks.length - 1 ? "end" : "middle" }, tick.text)),
    s("text", { x: (SIZE.left + SIZE.width - SIZE.right) / 2, y: SIZE.height - 8, "text-anchor": "middle" }, label),
  );
  return picture;
}

function row(tag: "td" | "th", cells: string[]): HTMLElement {
  return h("tr", {}, ...cells.map((cell) => h(tag, tag === "th" ? { scope: "col" } : {}, cell)));
}

const moments = (m: Moments | null): string[] => (m === null ? ["withheld", "withheld"] : [measured(m.mean), measured(m.sd)]);

function table(outcome: Outcome, progress: Progress): HTMLElement {
  const titles = new Map(progress.sites.map((site) => [site.site, site.title]));
  const head = row("th", ["Site", "Voxels", "Mean", "SD", "Subjects", "Counts withheld"]);
  const body = outcome.sites.map((site) =>
    row("td", [
      titles.get(site.site) ?? site.site,
      site.count === null ? "withheld" : whole(site.count),
      ...moments(site.moments),
      whole(site.subjects),
      whole(site.suppressed),
    ]),
  );
  const { merged } = outcome;
  const withheld = outcome.sites.reduce((sum, site) => sum + site.suppressed, 0);
  const all = [outcome.summary, whole(merged.count), ...moments(merged.moments), whole(merged.subjects), whole(withheld)];
  return h("table", {}, h("thead", {}, head), h("tbody", {}, ...body, row("td", all)));
}

/** The result's part of the widget. */
export function result(outcome: Outcome, progress: Progress): Element[] {
  const why = explanation(outcome);
  const modality = String(progress.parameters["modality"] ?? "");
  return [
    h("p", {}, h("strong", {}, sentence(outcome))),
    chart(outcome, modality === "CT" ? "CT value (HU)" : `${modality} value`),
    ...(why === "" ? [] : [h("p", { class: "cl-muted" }, why)]),
    table(outcome, progress),
  ];
}
