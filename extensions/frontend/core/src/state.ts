// The viewer's state and what may happen to it: plain values and pure functions, apart from any drawing.
import type { Plane, SeriesMeta } from "./contract";

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
  /** 1 fits the slice into the viewport; pan is in viewport pixels. */
  zoom: number;
  pan: readonly [number, number];
}

export interface Preset {
  name: string;
  window: readonly [number, number];
}

const CT_PRESETS: readonly Preset[] = [
  { name: "Soft tissue", window: [40, 400] },
  { name: "Lung", window: [-600, 1500] },
  { name: "Bone", window: [400, 1800] },
  { name: "Brain", window: [40, 80] },
  { name: "Liver", window: [60, 160] },
];

/** The windows that a radiologist expects for this series. */
export function presets(meta: SeriesMeta): readonly Preset[] {
  const own: Preset[] = [{ name: "As stored", window: meta.window ?? [0.5, 1] }];
  return meta.modality === "CT" ? [...own, ...CT_PRESETS] : own;
}

export function clamp(value: number, low: number, high: number): number {
  return Math.min(Math.max(value, low), high);
}

/** The plane in state, or the acquisition's. */
export function planeOf(meta: SeriesMeta, name: string): Plane {
  const plane = meta.planes.find((candidate) => candidate.name === name) ?? meta.planes[0];
  if (plane === undefined) throw new TypeError("The server described a series without a plane.");
  return plane;
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
    zoom: 1,
    pan: [0, 0],
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
    zoom: clamp(state.zoom, 0.25, 32),
  };
}

export function scrolled(meta: SeriesMeta, state: ViewState, by: number): ViewState {
  return corrected(meta, { ...state, index: state.index + by });
}

/** Another plane at the same relative depth as this one was left at is no use: each plane opens in its middle. */
export function withPlane(meta: SeriesMeta, state: ViewState, name: string): ViewState {
  const plane = planeOf(meta, name);
  if (plane.name === state.plane) return state;
  return { ...state, plane: plane.name, index: Math.floor(plane.count / 2), zoom: 1, pan: [0, 0] };
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

export function reset(meta: SeriesMeta, state: ViewState): ViewState {
  const fresh = initialState(meta, state.label);
  const plane = planeOf(meta, state.plane);
  return { ...fresh, plane: plane.name, index: Math.floor(plane.count / 2), frame: state.frame };
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
  return JSON.stringify(left) === JSON.stringify(right);
}
