// The elements of the viewer, without behaviour: bar, tools, stage, side panel, foot.
import type { SeriesMeta } from "../contract";
import { presets } from "../presets";
import { frameCount, RATES, type Tool } from "../state";
import { h } from "./dom";
import { icon, type Icon } from "./icons";
import { capital, CAVEAT, DISPLAY, heading, KEYS, TOOL_NAMES } from "./words";

export const VIEW_TOOLS: readonly Tool[] = ["window", "scroll", "pan", "zoom"];
export const MARK_TOOLS: readonly Tool[] = ["length", "bidirectional", "angle", "ellipse", "rectangle", "freehand", "point"];
export const PAINTERS: readonly Tool[] = ["brush", "threshold", "erase", "scissors"];

/** A button with a picture; its name is for readers of the screen, its title tells the key too. */
export function iconButton(name: Icon, label: string, key = "", extra: Record<string, string> = {}): HTMLButtonElement {
  return h(
    "button",
    { type: "button", class: "tool", "aria-label": label, title: key === "" ? label : `${label} (${key})`, ...extra },
    icon(name),
  );
}

function toolButton(tool: Tool): HTMLButtonElement {
  const [name, key] = TOOL_NAMES[tool];
  return iconButton(tool, name, key, { role: "radio", "aria-checked": "false", "data-tool": tool });
}

function helpTable(): HTMLElement[] {
  return KEYS.map(([title, rows]) =>
    h(
      "table",
      {},
      h("caption", { text: title }),
      ...rows.map(([keys, meaning]) => h("tr", {}, h("th", { scope: "row", text: keys }), h("td", { text: meaning }))),
    ),
  );
}

function bar(meta: SeriesMeta) {
  const planes = new Map(meta.planes.map(({ name }) => [name, h("button", { type: "button", role: "radio", text: capital(name) })]));
  const preset = h(
    "select",
    { "aria-label": "Window preset" },
    h("option", { value: -1, text: "Own", hidden: true }),
    ...presets(meta).map(({ name }, at) => h("option", { value: at, text: `${String(at + 1)}  ${name}` })),
  );
  const buttons = {
    rotate: iconButton("rotate", "Turn by 90°", "]"),
    across: iconButton("across", "Mirror across", "H", { "aria-pressed": "false" }),
    down: iconButton("down", "Mirror down", "V", { "aria-pressed": "false" }),
    invert: iconButton("invert", "Invert", "I", { "aria-pressed": "false" }),
    play: iconButton("play", "Play", "Space", { "aria-pressed": "false" }),
    reset: iconButton("reset", "Reset", "R"),
    mpr: iconButton("planes", "Three planes", "", { "aria-pressed": "false" }),
    panel: iconButton("panel", "Labels and marks", "", { "aria-pressed": "false" }),
    help: h("button", { type: "button", class: "tool", text: "?", "aria-label": "Keys", title: "Keys (?)", "aria-pressed": "false" }),
  };
  const rate = h("input", {
    type: "range",
    class: "rate",
    min: RATES.least,
    max: RATES.most,
    step: 1,
    "aria-label": "Slices a second",
    title: "Slices a second",
  });
  const frame = h("input", {
    type: "range",
    min: 0,
    max: Math.max(0, frameCount(meta) - 1),
    step: 1,
    "aria-label": meta.axis?.name.replaceAll("_", " ") ?? "Frame",
  });
  const frameName = h("span", { text: capital(meta.axis?.name.replaceAll("_", " ") ?? "") });
  const moves = meta.planes.some(({ count }) => count > 1) || frameCount(meta) > 1;
  const element = h(
    "div",
    { class: "bar", role: "toolbar", "aria-label": "Viewer" },
    h(
      "span",
      { class: "title", title: `${meta.dataset}/${meta.series}` },
      document.createTextNode(heading(meta)),
      h("small", { text: `${meta.dataset} / ${meta.series}` }),
    ),
    h("span", { class: "group words", role: "radiogroup", "aria-label": "Plane", hidden: planes.size < 2 }, ...planes.values()),
    h("label", { hidden: meta.samples.length > 0 }, document.createTextNode("Window"), preset),
    h("label", { hidden: meta.axis === null }, frameName, frame),
    h("span", { class: "group", hidden: !moves }, buttons.play, rate),
    h("span", { class: "group" }, buttons.rotate, buttons.across, buttons.down, buttons.invert),
    h("span", { class: "group" }, buttons.mpr),
    h("span", { class: "group" }, buttons.reset, buttons.panel, buttons.help),
  );
  return { element, planes, preset, buttons, rate, frame };
}

function rail(canPaint: boolean) {
  const tools = new Map([...VIEW_TOOLS, ...MARK_TOOLS, ...(canPaint ? PAINTERS : [])].map((tool) => [tool, toolButton(tool)] as const));
  const of = (names: readonly Tool[]): HTMLElement => h("span", { class: "part" }, ...names.flatMap((name) => tools.get(name) ?? []));
  const undo = iconButton("undo", "Undo", "Ctrl + Z");
  const redo = iconButton("redo", "Redo", "Ctrl + Y");
  const groups = [VIEW_TOOLS, MARK_TOOLS, ...(canPaint ? [PAINTERS] : [])].map(of);
  const element = h(
    "div",
    { class: "rail", role: "radiogroup", "aria-label": "Tools" },
    ...groups,
    h("span", { class: "part" }, undo, redo),
  );
  return { element, tools, undo, redo };
}

function stage(meta: SeriesMeta) {
  const canvas = h("canvas", { tabindex: 0, role: "img", "aria-keyshortcuts": "? A C S O R W D B G E T Y M I H V F N L Space" });
  const depth = h("input", { type: "range", class: "depth", min: 0, step: 1, "aria-label": "Slice" });
  const corner = {
    nw: h("div", { class: "text nw" }),
    ne: h("div", { class: "text ne" }),
    sw: h("div", { class: "text sw" }),
    se: h("div", { class: "text se" }),
  };
  const edge = {
    left: h("div", { class: "edge left" }),
    right: h("div", { class: "edge right" }),
    top: h("div", { class: "edge top" }),
    bottom: h("div", { class: "edge bottom" }),
  };
  const rulerText = h("span");
  const ruler = h("div", { class: "ruler", "aria-hidden": "true" }, rulerText);
  const why = h("div", {
    class: "why",
    hidden: meta.regular,
    text: meta.regular ? "" : `Slices only: ${meta.irregular_reason ?? "no regular volume"}`,
  });
  const problem = h("span");
  const retry = h("button", { type: "button", text: "Try again" });
  const message = h("div", { class: "message", role: "alert", hidden: true }, problem, retry);
  const help = h("div", { class: "help", role: "note", "aria-label": "Keys", hidden: true }, ...helpTable());
  const progress = h("div", { class: "progress" });
  const element = h(
    "div",
    { class: "stage" },
    canvas,
    progress,
    ...Object.values(corner),
    ...Object.values(edge),
    ruler,
    why,
    depth,
    message,
    help,
  );
  return { element, canvas, depth, corner, edge, ruler, rulerText, message, problem, retry, help };
}

/** Everything of the viewer's page. */
export function build(meta: SeriesMeta, canPaint: boolean) {
  const parts = { bar: bar(meta), rail: rail(canPaint), stage: stage(meta) };
  const side = h("div", { class: "side", role: "region", "aria-label": "Labels and marks", hidden: true });
  const toolOptions = h("div", { class: "options", hidden: true });
  const status = h("span", { class: "status" });
  const hint = h("span", { class: "hint", hidden: true });
  const caveat = h("span", { class: "caveat", title: DISPLAY }, h("strong", { text: CAVEAT }), h("small", { text: DISPLAY }));
  const foot = h("div", { class: "foot" }, status, hint, caveat);
  const root = h(
    "div",
    { class: "viewer", role: "group", "aria-label": `Image viewer, ${heading(meta)}` },
    parts.bar.element,
    toolOptions,
    h("div", { class: "body" }, parts.rail.element, parts.stage.element, side),
    foot,
  );
  return { root, ...parts, side, toolOptions, status, hint };
}

export type View = ReturnType<typeof build>;
