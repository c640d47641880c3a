// Painting a segmentation with brush, threshold brush, scissors and eraser, on the slices that the scanner made.
import type { SeriesMeta, Slice } from "../contract";
import { pixelAt, spotAt, type Placement } from "../placement";
import { planeOf, shownPlane, type Store, type ViewState } from "../state";
import { createLabels, longer, type BrushMessage, type Labels, type Stroke } from "../tools/labels";
import { cornersIn, pointAt } from "../tools/marks";
import { brushed, enclosed, inRange, inverse, type Change } from "../tools/paint";
import type { Corner } from "../tools/region";
import { physical } from "../values";
import { svg } from "./dom";
import type { Gesture } from "./input";

export interface Brush {
  /** mm. */
  radius: number;
  /** Number of the segment that is painted. */
  segment: number;
  /** What the threshold brush takes, in the series' units. */
  range: readonly [number, number];
}

export interface PaintingOptions {
  meta: SeriesMeta;
  store: Store<ViewState>;
  brush: Store<Brush>;
  /** The image in full detail, and the server's labels on it, of the slice that is shown. */
  image(): Slice | null;
  base(): Slice | null;
  placement(): Placement;
  done(step: { undo(): void; redo(): void }): void;
  send(message: BrushMessage): void;
  ask(): void;
}

export interface Painting {
  readonly layer: SVGSVGElement;
  readonly labels: Labels;
  begin(x: number, y: number, event: PointerEvent): Gesture | null;
  hover(at: { x: number; y: number } | null): void;
}

export const PAINT_TOOLS = ["brush", "threshold", "scissors", "erase"] as const;

/** Whether the state shows slices that can be painted: those across the array's first axis. */
export function canPaint(meta: SeriesMeta, state: ViewState): boolean {
  return planeOf(meta, state.plane).axis === "z" && meta.samples.length === 0;
}

export function createPainting(options: PaintingOptions): Painting {
  const { meta, store, brush } = options;
  const plane = meta.planes.find(({ axis }) => axis === "z");
  const across = plane === undefined ? [plane, plane] : plane.right.axis === "x" ? [plane.down, plane.right] : [plane.right, plane.down];
  const [rows, columns] = [across[0]?.count ?? 1, across[1]?.count ?? 1];
  const spacing = [across[0]?.spacing ?? 1, across[1]?.spacing ?? 1] as const;
  const labels = createLabels(rows, columns);
  const ring = svg("ellipse", { class: "ring" });
  const cut = svg("path", { class: "line" });
  const layer = svg("svg", { class: "marks", "aria-hidden": "true" }, ring, cut);

  function corner(x: number, y: number): Corner {
    const state = store.get();
    const shown = shownPlane(meta, state);
    const [found] = cornersIn(shown, [pointAt(shown, state.index, spotAt(options.placement(), x, y))]);
    return found ?? { row: 0, column: 0 };
  }

  /** Stored values of the threshold brush's range. */
  function storedRange(): readonly [number, number] {
    const { slope, intercept } = physical(meta);
    const [low, high] = brush.get().range;
    return [(low - intercept) / slope, (high - intercept) / slope];
  }

  function play(stroke: Stroke): void {
    labels.apply(stroke);
    for (const message of labels.messages(stroke)) options.send(message);
    options.ask();
  }

  function finished(index: number, frame: number, made: Change | null): void {
    if (made === null) return;
    const stroke = { index, frame, made };
    for (const message of labels.messages(stroke)) options.send(message);
    options.done({
      undo: () => {
        play({ index, frame, made: inverse(made) });
      },
      redo: () => {
        play(stroke);
      },
    });
  }

  function stroke(x: number, y: number, erase: boolean): Gesture {
    const { index, frame, tool } = store.get();
    const image = options.image();
    let [from, all] = [corner(x, y), null as Change | null];
    labels.open(index, frame, options.base());
    const paint = (to: Corner): void => {
      const { radius, segment } = brush.get();
      const under = brushed({ rows, columns }, from, to, radius, spacing);
      const wanted = tool === "threshold" && !erase && image !== null ? inRange(under, image.values, storedRange()) : under;
      all = longer(all, erase ? labels.paint(index, frame, wanted, 0, segment) : labels.paint(index, frame, wanted, segment));
      from = to;
      options.ask();
    };
    paint(from);
    return {
      move: (nx, ny) => {
        paint(corner(nx, ny));
      },
      end: () => {
        finished(index, frame, all);
      },
      cancel: () => {
        if (all !== null) labels.apply({ index, frame, made: inverse(all) });
        options.ask();
      },
    };
  }

  function scissors(x: number, y: number, erase: boolean): Gesture {
    const { index, frame } = store.get();
    const line: Corner[] = [corner(x, y)];
    const path: [number, number][] = [[x, y]];
    labels.open(index, frame, options.base());
    const hide = (): void => {
      cut.setAttribute("d", "");
    };
    return {
      move(nx, ny) {
        line.push(corner(nx, ny));
        path.push([nx, ny]);
        cut.setAttribute(
          "d",
          `M${path.map(([px, py]) => `${(px / devicePixelRatio).toFixed(1)} ${(py / devicePixelRatio).toFixed(1)}`).join("L")}Z`,
        );
      },
      end() {
        hide();
        const { segment } = brush.get();
        const inside = enclosed({ rows, columns }, line);
        finished(index, frame, erase ? labels.paint(index, frame, inside, 0, segment) : labels.paint(index, frame, inside, segment));
        options.ask();
      },
      cancel: hide,
    };
  }

  return {
    layer,
    labels,
    begin(x, y, event) {
      const state = store.get();
      const { tool } = state;
      if (event.button !== 0 || !(PAINT_TOOLS as readonly string[]).includes(tool)) return null;
      if (!canPaint(meta, state) || options.image() === null) return null;
      const erase = event.altKey || tool === "erase";
      return tool === "scissors" ? scissors(x, y, erase) : stroke(x, y, erase);
    },
    hover(at) {
      const state = store.get();
      const round = state.tool === "brush" || state.tool === "threshold" || state.tool === "erase";
      const nothing = at === null || !round || !canPaint(meta, state);
      ring.toggleAttribute("hidden", nothing);
      layer.toggleAttribute("hidden", nothing && (cut.getAttribute("d") ?? "") === "");
      if (at === null || !round) return;
      const placement = options.placement();
      const shown = shownPlane(meta, state);
      const { radius } = brush.get();
      const spot = spotAt(placement, at.x, at.y);
      const [rx] = pixelAt(placement, { right: spot.right + radius / shown.right.spacing, down: spot.down });
      const [, ry] = pixelAt(placement, { right: spot.right, down: spot.down + radius / shown.down.spacing });
      const place = { cx: at.x, cy: at.y, rx: rx - at.x, ry: ry - at.y };
      for (const [name, value] of Object.entries(place)) ring.setAttribute(name, String(value / devicePixelRatio));
    },
  };
}
