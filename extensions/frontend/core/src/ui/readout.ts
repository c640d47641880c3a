// The texts over the image: which slice, which window, what is under the pointer, how long a centimetre is.
import type { SeriesMeta } from "../contract";
import { patientText, toPatient, voxelAt } from "../geometry";
import { edgeLetters } from "../orientation";
import { spotAt, texelAt, textureMap, type Placement } from "../placement";
import { presets } from "../presets";
import type { Shown } from "../session";
import { shownPlane, type ViewState } from "../state";
import { inMillimetres } from "../tools/marks";
import type { View } from "./build";
import { enter, mark, write } from "./dom";
import { frameText, heading, sliceText, valueText, windowText } from "./words";

const RULER_LENGTHS = [200, 100, 50, 20, 10, 5, 2, 1];

export interface Moment {
  state: ViewState;
  shown: Shown;
  placement: Placement;
  /** Viewport pixels. */
  area: { width: number; height: number };
  hover: { x: number; y: number } | null;
}

/** Voxel, place in the patient and value under the pointer. */
function pointed(meta: SeriesMeta, { state, shown, placement, hover }: Moment): string {
  const { image } = shown;
  if (hover === null || image === null || !shown.exact) return "";
  const plane = shownPlane(meta, state);
  const texel = texelAt(textureMap(plane, placement, image.rows, image.columns), hover.x, hover.y, image.rows, image.columns);
  if (texel === null) return "";
  const exact = voxelAt(plane, state.index, spotAt(placement, hover.x, hover.y));
  const at = (axis: "z" | "y" | "x"): string => String(Math.floor(exact[axis] + 0.5));
  const place = meta.affine === null ? "" : `   ${patientText(toPatient(meta.affine, exact))}`;
  const from = texel.row * image.columns + texel.column;
  const value =
    image.samples === 3 ? `RGB ${image.values.slice(from * 3, from * 3 + 3).join(" ")}` : valueText(meta, image.values[from] ?? NaN);
  // of a coarser level the value is a mean of several voxels
  return `${shown.level > 0 ? "≈ " : ""}${value}   x ${at("x")}  y ${at("y")}  z ${at("z")}${place}`;
}

function ruler(view: View, known: boolean, { placement, area }: Moment): void {
  const length = RULER_LENGTHS.find((mm) => mm / placement.pixelSize <= area.width / 4);
  view.stage.ruler.hidden = !known || length === undefined;
  if (length === undefined) return;
  view.stage.ruler.style.width = `${String(length / placement.pixelSize / devicePixelRatio)}px`;
  write(view.stage.rulerText, length >= 10 ? `${String(length / 10)} cm` : `${String(length)} mm`);
}

/** Write what the moment is into the view. */
export function writeTexts(view: View, meta: SeriesMeta, moment: Moment): void {
  const { state, shown } = moment;
  const plane = shownPlane(meta, state);
  const slice = sliceText(plane, state);
  const { corner, edge, canvas, depth } = view.stage;
  mark(canvas, "aria-label", `${heading(meta)}, ${slice}`);
  write(corner.nw, [heading(meta), meta.series].join("\n"));
  write(
    corner.ne,
    [
      plane.spacing > 0 && plane.right.direction !== null ? `${plane.spacing.toFixed(2)} mm slices` : "",
      shown.image !== null && !shown.exact ? "coarse" : "",
    ]
      .filter(Boolean)
      .join("\n"),
  );
  write(corner.sw, [frameText(meta, state.frame), slice].filter(Boolean).join("\n"));
  const zoom = `${Math.round((plane.right.spacing / moment.placement.pixelSize) * 100).toString()} %`;
  write(
    corner.se,
    [meta.samples.length > 0 ? "" : windowText(state.window), `${zoom}${state.smooth ? "" : " exact"}${state.invert ? " inverted" : ""}`]
      .filter(Boolean)
      .join("\n"),
  );
  const edges = edgeLetters(plane);
  for (const side of ["left", "right", "top", "bottom"] as const) write(edge[side], edges[side]);
  write(view.status, pointed(meta, moment) || [slice, meta.samples.length > 0 ? "" : windowText(state.window)].filter(Boolean).join(" · "));
  mark(depth, "max", String(plane.count - 1));
  enter(depth, String(state.index));
  depth.hidden = plane.count < 2;
  mark(depth, "aria-valuetext", slice);
  ruler(view, inMillimetres(meta, plane), moment);
}

/** Write the bar's and the tools' states. */
export function writeBar(view: View, meta: SeriesMeta, state: ViewState): void {
  const { planes, preset, buttons, rate, frame } = view.bar;
  const plane = shownPlane(meta, state);
  for (const [name, button] of planes) mark(button, "aria-checked", name === plane.name);
  const chosen = presets(meta).findIndex(({ window }) => window[0] === state.window[0] && window[1] === state.window[1]);
  enter(preset, String(chosen));
  mark(buttons.across, "aria-pressed", state.flip[0]);
  mark(buttons.down, "aria-pressed", state.flip[1]);
  mark(buttons.invert, "aria-pressed", state.invert);
  mark(buttons.play, "aria-pressed", state.playing);
  enter(rate, String(state.rate));
  enter(frame, String(state.frame));
  mark(frame, "aria-valuetext", frameText(meta, state.frame));
  for (const [tool, button] of view.rail.tools) mark(button, "aria-checked", tool === state.tool);
}
