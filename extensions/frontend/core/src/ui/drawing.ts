// Marks on the screen: drawing them, moving their points, showing them with their measures. Marks themselves are in the state.
import type { SeriesMeta, Slice, Vector3 } from "../contract";
import { toPatient, toVoxel } from "../geometry";
import { pixelAt, spotAt, type Placement } from "../placement";
import { shownPlane, type Store, type ViewState } from "../state";
import { affineOf, isOn, pointAt, pointOf, report, reportText, spots, voxelOf, type Mark } from "../tools/marks";
import { corners, fromDrag, KINDS, lines, movedBy, movedPoint, subtract, type Kind } from "../tools/shapes";
import { svg } from "./dom";
import type { Gesture } from "./input";

export interface DrawingOptions {
  meta: SeriesMeta;
  store: Store<ViewState>;
  /** The slice in full detail, when it is shown. */
  slice(): Slice | null;
  placement(): Placement;
  /** Called when something was done to the marks as a whole, for undo. */
  done(before: readonly Mark[], after: readonly Mark[]): void;
  ask(): void;
}

export interface Drawing {
  readonly layer: SVGSVGElement;
  begin(x: number, y: number, event: PointerEvent): Gesture | null;
  hover(x: number, y: number): void;
  /** Stop drawing what is not complete; true when there was something. */
  stop(): boolean;
  removeSelected(): boolean;
  select(id: string): void;
  readonly selected: string;
  draw(): void;
}

const REACH = 9; // CSS pixels around a point that take hold of it
const LEAST = 3; // CSS pixels of a drag: less is a slip
const FREE_STEP = 3; // CSS pixels between two corners of a freehand line
const isKind = (tool: string): tool is Kind => (KINDS as readonly string[]).includes(tool);

export function createDrawing(options: DrawingOptions): Drawing {
  const { meta, store } = options;
  const affine = affineOf(meta);
  const layer = svg("svg", { class: "marks", "aria-hidden": "true" });
  let selected = "";
  let pending: Mark | null = null; // drawn, not complete: an angle that waits for its third point

  const toMm = (point: Vector3): Vector3 => toPatient(affine, voxelOf(point));
  const fromMm = (point: Vector3): Vector3 => pointOf(toVoxel(affine, point));
  const scale = (): number => devicePixelRatio;

  function here(x: number, y: number): Vector3 {
    const state = store.get();
    return pointAt(shownPlane(meta, state), state.index, spotAt(options.placement(), x, y));
  }

  function visible(): Mark[] {
    const state = store.get();
    return state.marks.filter((mark) => isOn(mark, state.plane, state.index, state.frame));
  }

  function setMark(mark: Mark): void {
    const state = store.get();
    const known = state.marks.some(({ id }) => id === mark.id);
    store.set({ ...state, marks: known ? state.marks.map((one) => (one.id === mark.id ? mark : one)) : [...state.marks, mark] });
  }

  function fresh(kind: Mark["kind"], points: readonly Vector3[]): Mark {
    const { plane, index, frame } = store.get();
    return { id: crypto.randomUUID().slice(0, 8), kind, plane, index, frame, points, label: "" };
  }

  /** Directions of the screen's sides in mm, from the affine. */
  function sides(): [Vector3, Vector3] {
    const state = store.get();
    const plane = shownPlane(meta, state);
    const at = (right: number, down: number): Vector3 => toMm(pointAt(plane, state.index, { right, down }));
    const unit = (to: Vector3): Vector3 => {
      const way = subtract(to, at(0, 0));
      const length = Math.hypot(...way) || 1;
      return [way[0] / length, way[1] / length, way[2] / length];
    };
    return [unit(at(1, 0)), unit(at(0, 1))];
  }

  function shape(kind: Kind, from: Vector3, to: Vector3): Vector3[] {
    return fromDrag(kind, toMm(from), toMm(to), ...sides()).map(fromMm);
  }

  function pixels(points: readonly Vector3[]): [number, number][] {
    const plane = shownPlane(meta, store.get());
    const placement = options.placement();
    return spots(plane, points).map((spot) => {
      const [x, y] = pixelAt(placement, spot);
      return [x / scale(), y / scale()];
    });
  }

  /** The mark, and its point or -1 for its line, under a place of the screen. */
  function under(x: number, y: number): { mark: Mark; at: number } | null {
    const [cx, cy] = [x / scale(), y / scale()];
    for (const mark of [...visible()].reverse()) {
      const found = pixels(mark.points).findIndex(([px, py]) => Math.hypot(px - cx, py - cy) <= REACH);
      if (found >= 0 && mark.kind !== "freehand") return { mark, at: found };
      const near = outlinesOf(mark).some((run) =>
        run.some((point, at) => at > 0 && distanceTo(run[at - 1] ?? point, point, cx, cy) <= REACH / 2),
      );
      if (near || (found >= 0 && mark.kind === "freehand")) return { mark, at: -1 };
    }
    return null;
  }

  function outlinesOf(mark: Mark): [number, number][][] {
    if (mark.kind === "point") return [];
    const closed = corners(mark.kind, mark.points);
    if (closed.length > 0) return [pixels([...closed, ...closed.slice(0, 1)])];
    return lines(mark.kind, mark.points).map(pixels);
  }

  function adjust(mark: Mark, at: number, x: number, y: number): Gesture {
    const before = store.get().marks;
    const start = here(x, y);
    selected = mark.id;
    options.ask();
    return {
      move(nx, ny) {
        const to = here(nx, ny);
        const points =
          at < 0
            ? movedBy(mark.points, subtract(to, start))
            : mark.kind === "point"
              ? [to]
              : movedPoint(mark.kind, mark.points.map(toMm), at, toMm(to)).map(fromMm);
        setMark({ ...mark, points });
      },
      end() {
        if (store.get().marks !== before) options.done(before, store.get().marks);
      },
      cancel() {
        store.set({ ...store.get(), marks: before });
      },
    };
  }

  function drag(kind: Kind, x: number, y: number): Gesture {
    const before = store.get().marks;
    const from = here(x, y);
    const mark = fresh(kind, [from, from]);
    let [lastX, lastY, moved] = [x, y, false];
    selected = mark.id;
    return {
      move(nx, ny) {
        if (!moved && Math.hypot(nx - x, ny - y) < LEAST * scale()) return;
        moved = true;
        const to = here(nx, ny);
        if (kind !== "freehand") {
          setMark({ ...mark, points: shape(kind, from, to) });
          return;
        }
        if (Math.hypot(nx - lastX, ny - lastY) < FREE_STEP * scale()) return;
        [lastX, lastY] = [nx, ny];
        const now = store.get().marks.find(({ id }) => id === mark.id) ?? { ...mark, points: [from] };
        setMark({ ...now, points: [...now.points, to] });
      },
      end() {
        const made = store.get().marks.find(({ id }) => id === mark.id);
        if (made === undefined) return;
        if (kind === "freehand" && made.points.length < 3) {
          store.set({ ...store.get(), marks: before });
        } else if (kind === "angle") {
          pending = made;
          hover(lastX, lastY);
        } else options.done(before, store.get().marks);
      },
      cancel() {
        store.set({ ...store.get(), marks: before });
      },
    };
  }

  /** The third point of an angle. */
  function finish(mark: Mark, x: number, y: number): Gesture {
    const put = (px: number, py: number): void => {
      setMark({ ...mark, points: [...mark.points.slice(0, 2), here(px, py)] });
    };
    put(x, y);
    return {
      move: put,
      end() {
        pending = null;
        const after = store.get().marks;
        options.done(
          after.filter(({ id }) => id !== mark.id),
          after,
        );
      },
      cancel: () => void stop(),
    };
  }

  function hover(x: number, y: number): void {
    if (pending !== null) setMark({ ...pending, points: [...pending.points.slice(0, 2), here(x, y)] });
  }

  function stop(): boolean {
    if (pending === null) return false;
    const { id } = pending;
    pending = null;
    store.set({ ...store.get(), marks: store.get().marks.filter((mark) => mark.id !== id) });
    return true;
  }

  function textOf(mark: Mark): string[] {
    const state = store.get();
    const plane = shownPlane(meta, state);
    const lines = reportText(meta, plane, report(meta, plane, mark, options.slice()));
    return mark.label === "" ? lines : [mark.label, ...lines];
  }

  function drawn(mark: Mark): SVGGElement {
    const points = pixels(mark.points);
    const group = svg("g", { class: mark.id === selected ? "mark selected" : "mark", "data-mark": mark.id });
    for (const run of outlinesOf(mark)) {
      const path = run.map(([x, y], at) => `${at === 0 ? "M" : "L"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
      group.append(svg("path", { class: "halo", d: path }), svg("path", { class: "line", d: path }));
    }
    if (mark.kind === "point") {
      for (const [x, y] of points)
        group.append(svg("path", { class: "line", d: `M${String(x - 7)} ${String(y)}h5m4 0h5M${String(x)} ${String(y - 7)}v5m0 4v5` }));
    } else if (mark.kind !== "freehand") {
      for (const [x, y] of points) group.append(svg("circle", { class: "handle", cx: x, cy: y, r: 3.5 }));
    }
    const right = points.reduce((most, point) => (point[0] > most[0] ? point : most), points[0] ?? [0, 0]);
    const text = svg("text", { x: right[0] + 9, y: right[1] + 4 });
    textOf(mark).forEach((line, at) => {
      text.append(Object.assign(svg("tspan", { x: right[0] + 9, dy: at === 0 ? 0 : "1.25em" }), { textContent: line }));
    });
    group.append(text);
    return group;
  }

  return {
    layer,
    begin(x, y, event) {
      if (event.button !== 0) return null;
      if (pending !== null) return finish(pending, x, y);
      const { tool } = store.get();
      const hit = under(x, y);
      if (hit !== null && !event.altKey) return adjust(hit.mark, hit.at, x, y);
      if (selected !== "") {
        selected = "";
        options.ask();
      }
      if (tool === "point") {
        const before = store.get().marks;
        const mark = fresh("point", [here(x, y)]);
        setMark(mark);
        selected = mark.id;
        options.done(before, store.get().marks);
        return { move: () => undefined, end: () => undefined, cancel: () => undefined };
      }
      return isKind(tool) ? drag(tool, x, y) : null;
    },
    hover,
    stop,
    removeSelected() {
      const before = store.get().marks;
      const after = before.filter(({ id }) => id !== selected);
      if (after.length === before.length) return false;
      pending = null;
      store.set({ ...store.get(), marks: after });
      options.done(before, after);
      return true;
    },
    select(id) {
      selected = id;
      options.ask();
    },
    get selected() {
      return selected;
    },
    draw() {
      const marks = visible();
      layer.toggleAttribute("hidden", marks.length === 0); // an empty layer over the image costs as much as the image
      if (marks.length > 0 || layer.childElementCount > 0) layer.replaceChildren(...marks.map(drawn));
    },
  };
}

function distanceTo([ax, ay]: [number, number], [bx, by]: [number, number], x: number, y: number): number {
  const length = (bx - ax) ** 2 + (by - ay) ** 2;
  const along = length === 0 ? 0 : Math.min(1, Math.max(0, ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / length));
  return Math.hypot(ax + along * (bx - ax) - x, ay + along * (by - ay) - y);
}
