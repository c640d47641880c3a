// The viewer's state and what may happen to it: plain values and pure functions, apart from any drawing.
import type { Plane, SeriesMeta } from "./contract";
import { turned } from "./orientation";
import { presets } from "./presets";
import type { Mark } from "./tools/marks";

export type Tool =
  | "window" | "pan" | "zoom" | "scroll"
  | "length" | "bidirectional" | "angle" | "ellipse" | "rectangle" | "freehand" | "point"
  | "brush" | "threshold" | "scissors" | "erase"; // prettier-ignore

export interface ViewState {
  /** "dataset/series"; label "" for none. */
  series: string;
  label: string;
  plane: string;
  index: number;
  frame: number;
  /** Centre and width, in the array's values. */
  window: readonly [number, number];
  overlay: boolean;
  opacity: number;
  /** Draw the labels' edges too. */
  outline: boolean;
  /** Numbers of the segments that are not shown. */
  hidden: readonly number[];
  /** 1 fits the slice into the viewport. */
  zoom: number;
  /** How far the image is moved (right, down), in CSS pixels at zoom 1. */
  pan: readonly [number, number];
  /** Degrees clockwise, a multiple of 90, after the flips. */
  rotation: number;
  /** Mirrored (left to right, top to bottom). */
  flip: readonly [boolean, boolean];
  /** Dark and bright exchanged. */
  invert: boolean;
  marks: readonly Mark[];
  /** Interpolate between voxels on the screen; measurements never do. */
  smooth: boolean;
  playing: boolean;
  /** Slices a second of the cine. */
  rate: number;
  tool: Tool;
}

export const RATES = { least: 1, most: 60, usual: 15 } as const;
export const ZOOMS = { least: 0.25, most: 32 } as const;

export function clamp(value: number, low: number, high: number): number {
  return Math.min(Math.max(value, low), high);
}

/** The plane in state, or the acquisition's, as it lies in the array: not turned. */
export function planeOf(meta: SeriesMeta, name: string): Plane {
  const plane = meta.planes.find((candidate) => candidate.name === name) ?? meta.planes[0];
  if (plane === undefined) throw new TypeError("The server described a series without a plane.");
  return plane;
}

/** The plane as it is shown: turned and mirrored. */
export function shownPlane(meta: SeriesMeta, state: ViewState): Plane {
  return turned(planeOf(meta, state.plane), state.rotation, state.flip);
}

export function frameCount(meta: SeriesMeta): number {
  return meta.axis?.values.length ?? 1;
}

/** Middle of the acquisition's stack, the series' own window. */
export function initialState(meta: SeriesMeta, label = ""): ViewState {
  const plane = planeOf(meta, "");
  return {
    series: `${meta.dataset}/${meta.series}`,
    label,
    plane: plane.name,
    index: Math.floor(plane.count / 2),
    frame: 0,
    window: meta.window ?? [0.5, 1],
    overlay: true,
    opacity: 0.5,
    outline: false,
    hidden: [],
    zoom: 1,
    pan: [0, 0],
    rotation: 0,
    flip: [false, false],
    invert: false,
    marks: [],
    smooth: true,
    playing: false,
    rate: RATES.usual,
    tool: "window",
  };
}

/** `state` with what cannot be brought to the nearest that can. */
export function corrected(meta: SeriesMeta, state: ViewState): ViewState {
  const plane = planeOf(meta, state.plane);
  const [center, width] = state.window;
  const usable = Number.isFinite(center) && Number.isFinite(width) && width > 0;
  return {
    ...state,
    plane: plane.name,
    index: clamp(Math.round(state.index) || 0, 0, plane.count - 1),
    frame: clamp(Math.round(state.frame) || 0, 0, frameCount(meta) - 1),
    window: usable ? state.window : (meta.window ?? [0.5, 1]),
    opacity: clamp(state.opacity, 0, 1),
    zoom: clamp(state.zoom, ZOOMS.least, ZOOMS.most),
    rotation: (((Math.round(state.rotation / 90) * 90) % 360) + 360) % 360,
    rate: clamp(Math.round(state.rate) || RATES.usual, RATES.least, RATES.most),
    playing: state.playing && (plane.count > 1 || frameCount(meta) > 1),
  };
}

export function scrolled(meta: SeriesMeta, state: ViewState, by: number): ViewState {
  return corrected(meta, { ...state, index: state.index + by });
}

/** The cine's next picture: the next slice, or the next time point where there is one slice; from the end to the beginning. */
export function advanced(meta: SeriesMeta, state: ViewState): ViewState {
  const { count } = planeOf(meta, state.plane);
  if (count > 1) return { ...state, index: (state.index + 1) % count };
  return { ...state, frame: (state.frame + 1) % frameCount(meta) };
}

/** Another plane at the same relative depth as this one was left at is no use: each plane opens in its middle. */
export function withPlane(meta: SeriesMeta, state: ViewState, name: string): ViewState {
  const plane = planeOf(meta, name);
  if (plane.name === state.plane) return state;
  return { ...state, plane: plane.name, index: Math.floor(plane.count / 2), zoom: 1, pan: [0, 0], rotation: 0, flip: [false, false] };
}

/** Preset number `position` (from 0), where there is one. */
export function withPreset(meta: SeriesMeta, state: ViewState, position: number): ViewState {
  const preset = presets(meta)[position];
  return preset === undefined ? state : { ...state, window: preset.window };
}

/** A quarter turn clockwise (1) or back (-1). The pan turns along, so that the middle of the screen stays what it was. */
export function quarterTurned(state: ViewState, by: 1 | -1): ViewState {
  const [x, y] = state.pan;
  return { ...state, rotation: (state.rotation + by * 90 + 360) % 360, pan: by === 1 ? [-y, x] : [y, -x] };
}

/** Mirrored on the screen, whatever the rotation. */
export function flipped(state: ViewState, along: "across" | "down"): ViewState {
  const [across, down] = state.flip;
  // flips come before the rotation: after a quarter turn the screen's across is the plane's down
  const first = (along === "across") === (state.rotation % 180 === 0);
  const [x, y] = state.pan;
  return { ...state, flip: first ? [!across, down] : [across, !down], pan: along === "across" ? [-x, y] : [x, -y] };
}

/** Zoom by `factor` so that what is at (x, y), in CSS pixels from the viewport's middle, stays there. */
export function zoomed(state: ViewState, factor: number, x = 0, y = 0): ViewState {
  const zoom = clamp(state.zoom * factor, ZOOMS.least, ZOOMS.most);
  const along = (at: number, pan: number): number => (at - (zoom / state.zoom) * (at - pan * state.zoom)) / zoom;
  return { ...state, zoom, pan: [along(x, state.pan[0]), along(y, state.pan[1])] };
}

/**
 * Window after a drag of `dx`, `dy` pixels: right widens, down darkens, as on a workstation. The step follows the width, so
 * that a narrow window moves finely and a float image of small values at all.
 */
export function dragged(start: readonly [number, number], dx: number, dy: number, least: number): readonly [number, number] {
  const [center, width] = start;
  const step = Math.max(width, least * 16) / 256;
  return [center + dy * step, Math.max(width + dx * step, least)];
}

/** The least window width that makes sense for the values. */
export function leastWidth(meta: SeriesMeta): number {
  const width = meta.window?.[1] ?? 1;
  return width < 1 ? width / 256 : 1;
}

/** As it was opened, but for plane, frame, tool and what was drawn. */
export function reset(meta: SeriesMeta, state: ViewState): ViewState {
  const fresh = initialState(meta, state.label);
  const plane = planeOf(meta, state.plane);
  return {
    ...fresh,
    plane: plane.name,
    index: Math.floor(plane.count / 2),
    frame: state.frame,
    tool: state.tool,
    smooth: state.smooth,
    marks: state.marks,
  };
}

export interface Store<T> {
  get(): T;
  set(next: T): void;
  subscribe(listener: (state: T, before: T) => void): () => void;
}

/** Holds a state and tells listeners of changes. Setting an equal state tells nobody. */
export function createStore<T extends object>(first: T): Store<T> {
  let state = first;
  const listeners = new Set<(state: T, before: T) => void>();
  return {
    get: () => state,
    set(next) {
      if (equal(state, next)) return;
      const before = state;
      state = next;
      for (const listener of [...listeners]) listener(next, before);
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

function equal(left: object, right: object): boolean {
  if (left === right) return true;
  const [one, other] = [left as Record<string, unknown>, right as Record<string, unknown>];
  // most changes leave most values the very same: only those that are not are compared by what they hold
  const same = (name: string): boolean => Object.is(one[name], other[name]) || JSON.stringify(one[name]) === JSON.stringify(other[name]);
  return [...new Set([...Object.keys(one), ...Object.keys(other)])].every(same);
}
