// The viewer on a page: bar, image with its texts, status. Draws what state and session hold; keeps no state of its own.
import type { SeriesMeta, Slice } from "../contract";
import { defaultColor } from "../engine/colors";
import { createSlice2d } from "../engine/slice2d";
import type { Loader } from "../loader";
import { edgeLetters } from "../orientation";
import { place, texelAt, textureMap, type Placement } from "../placement";
import { createSession } from "../session";
import { planeOf, presets, reset, withPlane, corrected, type Store, type ViewState } from "../state";
import { h, onNextFrame } from "./dom";
import { listen } from "./input";
import style from "./style.css";
import { capital, CAVEAT, frameText, heading, KEYS, sliceText, valueText, windowText } from "./words";

export interface ViewerOptions {
  loader: Loader;
  store: Store<ViewState>;
  meta: SeriesMeta;
  label: SeriesMeta | null;
}

const RULER_LENGTHS = [200, 100, 50, 20, 10, 5, 2, 1];
const NO_WEBGL = "This browser offers no WebGL2, with which the viewer draws. Switch on hardware acceleration, or use a current Firefox, Chrome, Edge or Safari.";
const LOST = "The browser took the graphics context away, often because of too many open viewers. Close some, or run the cell again.";

/** Put a viewer into `host`; returns how to take it away. */
export function mountViewer(host: HTMLElement, { loader, store, meta, label }: ViewerOptions): () => void {
  // JupyterLab listens for keys before the page does: this attribute keeps its shortcuts out.
  host.setAttribute("data-lm-suppress-shortcuts", "true");
  const shadow = host.shadowRoot ?? host.attachShadow({ mode: "open" });
  const view = build(meta, label);
  shadow.replaceChildren(h("style", { text: style }), view.root);

  const session = createSession(loader, store, meta, label);
  let engine = createSlice2d(view.canvas);
  let problemOfEngine = engine === null ? NO_WEBGL : "";
  let hover: { x: number; y: number } | null = null;
  const draw = onNextFrame(render);
  const size = new ResizeObserver(draw.ask);
  size.observe(view.stage);
  const colors = new Map((label?.segments ?? []).flatMap(({ number, color }) => (color === null ? [] : [[number, color] as const])));
  engine?.setColors(colors);

  function viewport(): { width: number; height: number } {
    const box = view.stage.getBoundingClientRect();
    return { width: Math.max(1, Math.round(box.width * devicePixelRatio)), height: Math.max(1, Math.round(box.height * devicePixelRatio)) };
  }

  function render(): void {
    const state = store.get();
    const plane = planeOf(meta, state.plane);
    const area = viewport();
    const placement = place(plane, area, state.zoom, state.pan);
    const shown = session.shown();
    const layer = (slice: Slice | null) =>
      slice === null ? null : { slice, map: textureMap(plane, placement, slice.rows, slice.columns) };
    const inverted = meta.photometric === "MONOCHROME1";
    const label = state.overlay ? layer(shown.label) : null;
    engine?.draw({ image: layer(shown.image), label, window: state.window, inverted, opacity: state.opacity }, area.width, area.height);
    write(state, placement, area);
  }

  function write(state: ViewState, placement: Placement, area: { width: number; height: number }): void {
    const plane = planeOf(meta, state.plane);
    const shown = session.shown();
    const slice = sliceText(plane, state);
    view.canvas.setAttribute("aria-label", `${heading(meta)}, ${slice}`);
    view.stage.classList.toggle("busy", shown.loading);
    view.root.dataset["shown"] = shown.loading || shown.problem !== "" ? "" : `${state.plane} ${String(state.index)} ${String(state.frame)}`;
    view.corner.sw.textContent = [frameText(meta, state.frame), slice].filter(Boolean).join("\n");
    view.corner.se.textContent = `${windowText(state.window)}\n${Math.round(state.zoom * 100).toString()} %`;
    const edges = edgeLetters(plane);
    for (const side of ["left", "right", "top", "bottom"] as const) view.edge[side].textContent = edges[side];
    view.status.textContent = pointed(placement) || `${slice} · ${windowText(state.window)}`;
    for (const [name, button] of view.planes) button.setAttribute("aria-checked", String(name === plane.name));
    view.depth.max = String(plane.count - 1);
    view.depth.value = String(state.index);
    view.depth.hidden = plane.count < 2;
    view.depth.setAttribute("aria-valuetext", slice);
    view.overlay.checked = state.overlay;
    view.opacity.value = String(state.opacity);
    view.legend.hidden = !state.overlay;
    const chosen = presets(meta).findIndex(({ window }) => window[0] === state.window[0] && window[1] === state.window[1]);
    view.preset.value = String(chosen);
    const problem = problemOfEngine || shown.problem;
    view.message.hidden = problem === "";
    view.problem.textContent = problem;
    view.retry.hidden = engine === null;
    measure(plane.right.direction !== null, placement, area);
  }

  /** The voxel and value under the pointer. */
  function pointed(placement: Placement): string {
    const { image, level, loading } = session.shown();
    const state = store.get();
    if (hover === null || image === null || loading || level !== 0) return "";
    const plane = planeOf(meta, state.plane);
    const map = textureMap(plane, placement, image.rows, image.columns);
    const texel = texelAt(map, hover.x, hover.y, image.rows, image.columns);
    if (texel === null) return "";
    const [rowAxis, columnAxis] = (["z", "y", "x"] as const).filter((axis) => axis !== plane.axis);
    const voxel = { z: 0, y: 0, x: 0, [plane.axis]: state.index, [rowAxis ?? "y"]: texel.row, [columnAxis ?? "x"]: texel.column };
    const stored = image.values[texel.row * image.columns + texel.column] ?? NaN;
    return `x ${String(voxel.x)}  y ${String(voxel.y)}  z ${String(voxel.z)}   ${valueText(meta, stored, voxel.z)}`;
  }

  function measure(known: boolean, placement: Placement, area: { width: number; height: number }): void {
    const length = RULER_LENGTHS.find((mm) => mm / placement.pixelSize <= area.width / 4);
    view.ruler.hidden = !known || length === undefined;
    if (length === undefined) return;
    view.ruler.style.width = `${String(length / placement.pixelSize / devicePixelRatio)}px`;
    view.rulerText.textContent = length >= 10 ? `${String(length / 10)} cm` : `${String(length)} mm`;
  }

  const change = (next: Partial<ViewState>): void => {
    store.set(corrected(meta, { ...store.get(), ...next }));
  };
  const toggleHelp = (): void => {
    view.help.hidden = !view.help.hidden;
    view.helpButton.setAttribute("aria-pressed", String(!view.help.hidden));
  };
  for (const [name, button] of view.planes) button.addEventListener("click", () => { store.set(withPlane(meta, store.get(), name)); });
  view.preset.addEventListener("change", () => {
    const preset = presets(meta)[Number(view.preset.value)];
    if (preset !== undefined) change({ window: preset.window });
  });
  view.depth.addEventListener("input", () => { change({ index: Number(view.depth.value) }); });
  view.overlay.addEventListener("change", () => { change({ overlay: view.overlay.checked }); });
  view.opacity.addEventListener("input", () => { change({ opacity: Number(view.opacity.value) }); });
  view.resetButton.addEventListener("click", () => { store.set(reset(meta, store.get())); });
  view.helpButton.addEventListener("click", toggleHelp);
  view.retry.addEventListener("click", () => { session.retry(); });

  const onLost = (event: Event): void => {
    event.preventDefault(); // says that we can go on with a new context
    engine = null;
    problemOfEngine = LOST;
    draw.ask();
  };
  const onRestored = (): void => {
    engine = createSlice2d(view.canvas);
    engine?.setColors(colors);
    problemOfEngine = "";
    draw.ask();
  };
  view.canvas.addEventListener("webglcontextlost", onLost);
  view.canvas.addEventListener("webglcontextrestored", onRestored);

  const least = (meta.window?.[1] ?? 1) < 1 ? (meta.window?.[1] ?? 1) / 256 : 1;
  const quiet = listen({
    canvas: view.canvas,
    root: view.root,
    store,
    meta,
    leastWidth: least,
    toggleHelp,
    onHover(at) {
      hover = at;
      draw.ask();
    },
  });
  const unsubscribe = store.subscribe(draw.ask);
  session.onChange(draw.ask);
  draw.ask();

  return () => {
    quiet();
    unsubscribe();
    size.disconnect();
    draw.cancel();
    session.dispose();
    view.canvas.removeEventListener("webglcontextlost", onLost);
    view.canvas.removeEventListener("webglcontextrestored", onRestored);
    engine?.dispose();
    shadow.replaceChildren();
  };
}

/** The elements, without behaviour. */
function build(meta: SeriesMeta, label: SeriesMeta | null) {
  const planes = new Map(meta.planes.map(({ name }) => [name, h("button", { type: "button", role: "radio", text: capital(name) })]));
  const preset = h(
    "select",
    { "aria-label": "Window preset" },
    h("option", { value: -1, text: "Own", hidden: true }),
    ...presets(meta).map(({ name }, index) => h("option", { value: index, text: name })),
  );
  const overlay = h("input", { type: "checkbox", "aria-label": "Show labels" });
  const opacity = h("input", { type: "range", min: 0, max: 1, step: 0.05, "aria-label": "Opacity of the labels" });
  const resetButton = h("button", { type: "button", text: "Reset" });
  const helpButton = h("button", { type: "button", text: "?", "aria-label": "Keys", "aria-pressed": "false" });
  const bar = h(
    "div",
    { class: "bar", role: "toolbar", "aria-label": "Viewer" },
    h("span", { class: "title", text: heading(meta) }, h("small", { text: `${meta.dataset} / ${meta.series}` })),
    h("span", { class: "group", role: "radiogroup", "aria-label": "Plane", hidden: planes.size < 2 }, ...planes.values()),
    h("label", {}, document.createTextNode("Window"), preset),
    h("span", { class: "overlay", hidden: label === null }, h("label", {}, overlay, document.createTextNode("Labels")), opacity),
    resetButton,
    helpButton,
  );
  const canvas = h("canvas", { tabindex: 0, role: "img", "aria-keyshortcuts": "? a c s o r" });
  const depth = h("input", { type: "range", class: "depth", min: 0, step: 1, "aria-label": "Slice" });
  const [sw, se] = [h("div", { class: "text sw" }), h("div", { class: "text se" })];
  const edge = {
    left: h("div", { class: "edge left" }),
    right: h("div", { class: "edge right" }),
    top: h("div", { class: "edge top" }),
    bottom: h("div", { class: "edge bottom" }),
  };
  const nw = h("div", { class: "text nw", text: meta.regular ? "" : `Slices only: ${meta.irregular_reason ?? "no regular volume"}` });
  const rulerText = h("span");
  const ruler = h("div", { class: "ruler", "aria-hidden": "true" }, rulerText);
  const legend = h("ul", { class: "legend", "aria-label": "Labels" }, ...(label?.segments ?? []).map(legendLine));
  const problem = h("span");
  const retry = h("button", { type: "button", text: "Try again" });
  const message = h("div", { class: "message", role: "alert", hidden: true }, problem, retry);
  const rows = KEYS.map(([keys, meaning]) => h("tr", {}, h("th", { scope: "row", text: keys }), h("td", { text: meaning })));
  const help = h("div", { class: "help", role: "note", "aria-label": "Keys", hidden: true }, h("table", {}, ...rows));
  const stage = h("div", { class: "stage" }, canvas, h("div", { class: "progress" }), nw, sw, se, ...Object.values(edge), ruler, legend, depth, message, help);
  const status = h("span", { class: "status" });
  const foot = h("div", { class: "foot" }, status, h("strong", { text: CAVEAT }));
  const root = h("div", { class: "viewer", role: "group", "aria-label": `Image viewer, ${heading(meta)}` }, bar, stage, foot);
  return { root, stage, canvas, planes, preset, overlay, opacity, resetButton, helpButton, depth, corner: { sw, se }, edge, ruler, rulerText, legend, message, problem, retry, help, status };
}

function legendLine({ number, label, color }: SeriesMeta["segments"][number]): HTMLElement {
  const swatch = h("i");
  swatch.style.background = `rgb(${(color ?? defaultColor(number)).join(" ")})`;
  return h("li", {}, swatch, document.createTextNode(label));
}
