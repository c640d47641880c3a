// The side panel: segments with their switches, marks with their measures, and what is set while painting.
import type { SeriesMeta, Segment, Slice } from "../contract";
import { defaultColor, type Color } from "../engine/colors";
import { planeOf, type Store, type ViewState } from "../state";
import { report, reportText, type Mark } from "../tools/marks";
import { enter, h, write } from "./dom";
import { iconButton } from "./build";
import type { Brush } from "./painting";
import { capital, plain, TOOL_NAMES } from "./words";

export interface SideOptions {
  meta: SeriesMeta;
  store: Store<ViewState>;
  brush: Store<Brush>;
  segments(): readonly Segment[];
  /** The slice in full detail, when it is the one that is shown. */
  slice(): Slice | null;
  selected(): string;
  select(mark: Mark): void;
  remove(mark: Mark): void;
  rename(mark: Mark, label: string): void;
  paints: boolean;
  save?: (what: "segmentation" | "annotations") => void;
}

export function colorOf({ number, color }: Segment): Color {
  return color ?? defaultColor(number);
}

export interface Side {
  /** Bring the panel up to date. */
  draw(): void;
}

/** Fill `host`; the lists are written anew only when what they show changes, so that focus stays. */
export function fillSide(host: HTMLElement, options: SideOptions): Side {
  const { meta, store, brush } = options;
  const change = (next: Partial<ViewState>): void => {
    store.set({ ...store.get(), ...next });
  };
  const overlay = h("input", { type: "checkbox", "aria-label": "Show labels" });
  const outline = h("input", { type: "checkbox", "aria-label": "Show outlines" });
  const opacity = h("input", { type: "range", min: 0, max: 1, step: 0.05, "aria-label": "Opacity of the labels" });
  overlay.addEventListener("change", () => {
    change({ overlay: overlay.checked });
  });
  outline.addEventListener("change", () => {
    change({ outline: outline.checked });
  });
  opacity.addEventListener("input", () => {
    change({ opacity: Number(opacity.value) });
  });
  const segmentList = h("ul", { class: "segments", "aria-label": "Segments" });
  const add = h("button", { type: "button", text: "Add a segment", hidden: !options.paints });
  add.addEventListener("click", () => {
    brush.set({ ...brush.get(), segment: Math.max(0, ...options.segments().map(({ number }) => number), brush.get().segment) + 1 });
  });
  const saveLabels = h("button", { type: "button", text: "Save as DICOM SEG", hidden: options.save === undefined });
  saveLabels.addEventListener("click", () => options.save?.("segmentation"));
  const labels = h(
    "section",
    { "aria-label": "Labels" },
    h("h3", { text: "Labels" }),
    h(
      "div",
      { class: "row" },
      h("label", {}, overlay, document.createTextNode("Shown")),
      h("label", {}, outline, document.createTextNode("Outlines")),
    ),
    h("label", { class: "row" }, document.createTextNode("Opacity"), opacity),
    segmentList,
    h("div", { class: "row", hidden: !options.paints }, add, saveLabels),
  );
  const markList = h("ul", { class: "list", "aria-label": "Marks" });
  const none = h("p", { class: "soft", text: "None yet. Choose a tool at the left and draw on the image." });
  const saveMarks = h("button", { type: "button", text: "Save as DICOM SR" });
  saveMarks.addEventListener("click", () => options.save?.("annotations"));
  host.replaceChildren(
    labels,
    h(
      "section",
      { "aria-label": "Marks" },
      h("h3", { text: "Marks" }),
      markList,
      none,
      h("div", { class: "row", hidden: options.save === undefined }, saveMarks),
    ),
  );
  let [shownSegments, shownMarks] = ["", ""];

  function segmentLine(segment: Segment, hidden: readonly number[], chosen: boolean): HTMLElement {
    const box = h("input", { type: "checkbox", "aria-label": `Show ${segment.label}` });
    box.checked = !hidden.includes(segment.number);
    box.addEventListener("change", () => {
      const others = store.get().hidden.filter((number) => number !== segment.number);
      change({ hidden: box.checked ? others : [...others, segment.number] });
    });
    const swatch = h("i");
    swatch.style.background = `rgb(${colorOf(segment).join(" ")})`;
    const line = h("li", { class: chosen ? "chosen" : "" }, h("label", {}, box, swatch, document.createTextNode(segment.label)));
    if (options.paints) {
      const pick = h("button", {
        type: "button",
        class: "small",
        text: "Paint",
        "aria-label": `Paint ${segment.label}`,
        "aria-pressed": String(chosen),
      });
      pick.addEventListener("click", () => {
        brush.set({ ...brush.get(), segment: segment.number });
        if (!["brush", "threshold", "scissors"].includes(store.get().tool)) change({ tool: "brush" });
      });
      line.append(pick);
    }
    return line;
  }

  function markLine(mark: Mark): HTMLElement {
    const state = store.get();
    const here = mark.plane === state.plane && mark.index === state.index && mark.frame === state.frame;
    const plane = planeOf(meta, mark.plane);
    const lines = reportText(meta, plane, report(meta, plane, mark, here ? options.slice() : null));
    const name = mark.kind === "point" ? "Point" : TOOL_NAMES[mark.kind][0];
    const go = h(
      "button",
      { type: "button", class: "go" },
      h("b", { text: name }),
      h("span", { text: lines.join(" · ") }),
      h("small", { text: `${capital(mark.plane)} ${String(mark.index + 1)}` }),
    );
    go.addEventListener("click", () => {
      options.select(mark);
    });
    const label = h("input", { type: "text", value: mark.label, placeholder: "Name", "aria-label": `Name of this ${name.toLowerCase()}` });
    label.addEventListener("change", () => {
      options.rename(mark, label.value);
    });
    const remove = iconButton("remove", "Remove");
    remove.addEventListener("click", () => {
      options.remove(mark);
    });
    return h("li", { class: mark.id === options.selected() ? "chosen" : "" }, go, h("div", { class: "row" }, label, remove));
  }

  return {
    draw() {
      const state = store.get();
      overlay.checked = state.overlay;
      outline.checked = state.outline;
      enter(opacity, String(state.opacity));
      const segments = options.segments();
      labels.hidden = segments.length === 0 && !options.paints;
      const { segment } = brush.get();
      const wanted = JSON.stringify([segments, state.hidden, options.paints ? segment : 0]);
      if (wanted !== shownSegments)
        segmentList.replaceChildren(...segments.map((one) => segmentLine(one, state.hidden, options.paints && one.number === segment)));
      shownSegments = wanted;
      const marks = JSON.stringify([state.marks, options.selected(), state.plane, state.index, state.frame, options.slice() === null]);
      if (marks !== shownMarks && !markList.contains((host.getRootNode() as ShadowRoot).activeElement)) {
        markList.replaceChildren(...state.marks.map(markLine));
        shownMarks = marks;
      }
      none.hidden = state.marks.length > 0;
    },
  };
}

/** The line of settings of the painting tools. */
export function paintOptions(host: HTMLElement, brush: Store<Brush>, tool: () => string, units: string): Side {
  const radius = h("input", { type: "range", min: 0.5, max: 40, step: 0.5, "aria-label": "Radius of the brush" });
  const radiusText = h("output");
  const [low, high] = [
    h("input", { type: "number", "aria-label": "Least value" }),
    h("input", { type: "number", "aria-label": "Greatest value" }),
  ];
  const range = h("label", {}, document.createTextNode("Values"), low, document.createTextNode("to"), high, document.createTextNode(units));
  host.replaceChildren(
    h("label", {}, document.createTextNode("Radius"), radius, radiusText),
    range,
    h("span", { class: "soft", text: "Alt erases" }),
  );
  radius.addEventListener("input", () => {
    brush.set({ ...brush.get(), radius: Number(radius.value) });
  });
  for (const field of [low, high]) {
    field.addEventListener("change", () => {
      const values = [Number(low.value), Number(high.value)] as const;
      if (values.every(Number.isFinite)) brush.set({ ...brush.get(), range: [Math.min(...values), Math.max(...values)] });
    });
  }
  return {
    draw() {
      const now = brush.get();
      host.hidden = !["brush", "threshold", "erase", "scissors"].includes(tool());
      range.hidden = tool() !== "threshold";
      enter(radius, String(now.radius));
      write(radiusText, `${plain(now.radius)} mm`);
      enter(low, String(Math.round(now.range[0])));
      enter(high, String(Math.round(now.range[1])));
    },
  };
}
