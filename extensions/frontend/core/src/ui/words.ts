// The texts of the viewer: numbers and names as people in radiology write them.
import type { Plane, SeriesMeta } from "../contract";
import type { ViewState } from "../state";

export const CAVEAT = "For research, not for diagnosis";

export const KEYS: readonly (readonly [string, string])[] = [
  ["Wheel, ↑ ↓", "one slice back or on"],
  ["Page ↑ ↓", "ten slices"],
  ["Home, End", "first, last slice"],
  ["← →", "time point or channel"],
  ["Drag", "window: right widens, down darkens"],
  ["Shift + drag", "move the image"],
  ["Ctrl + wheel, + −", "zoom"],
  ["a, c, s", "axial, coronal, sagittal"],
  ["o", "labels on or off"],
  ["r", "reset"],
  ["?", "this list"],
];

export function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** A number short enough to read: whole, or three significant digits. */
export function plain(value: number): string {
  const text = Number.isInteger(value) || Math.abs(value) >= 1000 ? Math.round(value).toString() : Number(value.toPrecision(3)).toString();
  return text.replace("-", "−");
}

export function windowText(window: readonly [number, number]): string {
  return `C ${plain(window[0])}  W ${plain(window[1])}`;
}

export function sliceText(plane: Plane, state: ViewState): string {
  return `${capital(plane.name)} ${String(state.index + 1)} / ${String(plane.count)}`;
}

/** The meaning of the fourth axis at this frame, e.g. "b_value 800 s/mm2 (3 / 3)". */
export function frameText(meta: SeriesMeta, frame: number): string {
  if (meta.axis === null) return "";
  const { name, values, unit } = meta.axis;
  return `${name.replaceAll("_", " ")} ${plain(values[frame] ?? frame)} ${unit} (${String(frame + 1)} / ${String(values.length)})`.replace("  ", " ");
}

/** A stored value in the series' units, as far as the series says how. `z` is the acquisition slice, for per-slice rescales. */
export function valueText(meta: SeriesMeta, stored: number, z: number): string {
  const { rescale } = meta;
  const [slope, intercept] = rescale?.per_slice?.[z] ?? (rescale !== null && !rescale.applied ? [rescale.slope, rescale.intercept] : [1, 0]);
  return `${plain(stored * slope + intercept)}${meta.units === null ? "" : ` ${meta.units}`}`;
}

export function heading(meta: SeriesMeta): string {
  return [meta.modality, meta.description ?? meta.body_part, meta.laterality, meta.view].filter(Boolean).join(" · ");
}
