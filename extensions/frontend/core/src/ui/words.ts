// The texts of the viewer: numbers and names as people in radiology write them.
import type { Plane, SeriesMeta } from "../contract";
import type { Tool, ViewState } from "../state";
import { physical } from "../values";

export const CAVEAT = "For research, not for diagnosis";
export const DISPLAY = "The screen is not calibrated: grey levels may look different elsewhere.";

export const KEYS: readonly (readonly [string, readonly (readonly [string, string])[]])[] = [
  [
    "Slices",
    [
      ["Wheel, ↑ ↓", "one slice back or on"],
      ["Page ↑ ↓", "ten slices"],
      ["Home, End", "first, last slice"],
      ["← →", "time point, b-value or channel"],
      ["Space, < >", "play, slower, faster"],
      ["A, C, S", "axial, coronal, sagittal"],
    ],
  ],
  [
    "Picture",
    [
      ["W + drag", "window: right widens, down darkens"],
      ["1 … 9", "window presets"],
      ["I", "invert"],
      ["Ctrl + wheel, + −", "zoom"],
      ["Right drag", "zoom"],
      ["Shift + drag", "move the image"],
      ["F, 0", "fit, one pixel a voxel"],
      ["[ ]", "turn by 90°"],
      ["H, V", "mirror across, down"],
      ["N", "smooth or exact voxels"],
    ],
  ],
  [
    "Labels and marks",
    [
      ["O, L", "labels, their outlines"],
      ["D, B, G", "length, two axes, angle"],
      ["E, T, Y, M", "ellipse, rectangle, freehand, point"],
      ["Delete, Esc", "remove the mark, stop drawing"],
      ["Ctrl + Z, Ctrl + Y", "undo, redo"],
      ["P", "brush (Alt: erase)"],
    ],
  ],
  [
    "",
    [
      ["R", "reset"],
      ["?", "this list"],
    ],
  ],
];

export const TOOL_NAMES: Readonly<Record<Tool, readonly [string, string]>> = {
  window: ["Window", "W"],
  scroll: ["Scroll", ""],
  pan: ["Move", ""],
  zoom: ["Zoom", ""],
  length: ["Length", "D"],
  bidirectional: ["Two axes", "B"],
  angle: ["Angle", "G"],
  ellipse: ["Ellipse", "E"],
  rectangle: ["Rectangle", "T"],
  freehand: ["Freehand region", "Y"],
  point: ["Point", "M"],
  brush: ["Brush", "P"],
  threshold: ["Threshold brush", ""],
  scissors: ["Scissors", ""],
  erase: ["Eraser", ""],
};

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

/** The meaning of the fourth axis at this frame, e.g. "b value 800 s/mm2 (3 / 3)". */
export function frameText(meta: SeriesMeta, frame: number): string {
  if (meta.axis === null) return "";
  const { name, values, unit } = meta.axis;
  return `${name.replaceAll("_", " ")} ${plain(values[frame] ?? frame)} ${unit} (${String(frame + 1)} / ${String(values.length)})`.replace(
    "  ",
    " ",
  );
}

/** A shown value in the series' units, and for PET its standardised uptake. */
export function valueText(meta: SeriesMeta, shown: number): string {
  const { slope, intercept } = physical(meta);
  const value = shown * slope + intercept;
  const suv = meta.suv?.bw ?? null;
  return `${plain(value)}${meta.units === null ? "" : ` ${meta.units}`}${suv === null ? "" : `  SUV ${plain(value * suv)}`}`;
}

export function heading(meta: SeriesMeta): string {
  return [meta.modality, meta.description ?? meta.body_part, meta.laterality, meta.view].filter(Boolean).join(" · ");
}
