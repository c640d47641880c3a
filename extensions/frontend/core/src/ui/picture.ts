// The slice as a picture that the server makes after the window (WebP, 8 bits), in an <img>: for browsers that can draw on no canvas.
import { lengthAlong, type SeriesMeta } from "../contract";
import { seriesPath, type Loader } from "../loader";
import { indexInLevel, textureMap, type Placement, type TextureMap } from "../placement";
import type { Shown } from "../session";
import { planeOf, shownPlane, type ViewState } from "../state";
import type { Query } from "../transport";

export const PICTURES = "This browser can draw on no canvas: pictures come from the server, and labels are not shown.";

export interface Picture {
  /** Show the slice that `shown` has exactly. The latest wish wins; the picture before it stands until it is there. */
  draw(state: ViewState, shown: Shown, placement: Placement): void;
  dispose(): void;
}

/** What the gateway is asked for. The window is in stored values: of slices with slopes of their own, in this one's. */
export function pictureQuery(meta: SeriesMeta, state: ViewState, level: number): Query {
  const { axis, count } = planeOf(meta, state.plane);
  const index = indexInLevel(state.index, count, lengthAlong(meta.levels[level] ?? meta.shape, axis, meta.dims));
  const [center, width] = storedWindow(meta, state, index);
  return {
    plane: state.plane,
    index: String(index),
    level: String(level),
    ...(state.frame === 0 ? {} : { t: String(state.frame) }),
    format: "webp",
    ...(meta.samples.length > 0 ? {} : { center: String(center), width: String(width) }),
    v: meta.version,
  };
}

function storedWindow(meta: SeriesMeta, { plane, window }: ViewState, index: number): readonly [number, number] {
  const pairs = meta.rescale?.applied === true ? null : (meta.rescale?.per_slice ?? null);
  const [slope, intercept] = planeOf(meta, plane).axis === "z" ? (pairs?.[index] ?? [0, 0]) : [0, 0];
  if (pairs === null || slope === 0) return window;
  // slices of different slopes are shown as if they had the mean one (see values.ts)
  const mean = pairs.reduce((sum, [one]) => sum + one, 0) / pairs.length;
  return [(window[0] * mean - intercept) / slope, (window[1] * mean) / slope];
}

/** CSS that lays the picture, a pixel a voxel from its top left, where `map` has the slice; `ratio`: device pixels of a CSS pixel. */
export function pictureTransform([a, b, c, d, e, f]: TextureMap, ratio: number): string {
  const scale = (a * e - b * d) * ratio; // the map goes from pixel to voxel, CSS from voxel to pixel
  const matrix = [e / scale, -d / scale, -b / scale, a / scale, (b * f - c * e) / scale, (c * d - a * f) / scale];
  return `matrix(${matrix.map((value) => String(Number(value.toFixed(9)))).join(", ")})`;
}

/** The picture over `canvas`, on which nothing can be drawn. */
export function createPicture(canvas: HTMLElement, loader: Loader, meta: SeriesMeta): Picture {
  const element = document.createElement("img");
  element.className = "picture";
  element.alt = "";
  element.hidden = true;
  element.style.cssText = "position: absolute; left: 0; top: 0; max-width: none; transform-origin: 0 0; pointer-events: none";
  canvas.after(element);
  let wanted: { key: string; query: Query } | null = null;
  let under = false; // a picture is on its way
  let address = "";
  const life = new AbortController();

  async function bring(): Promise<void> {
    under = true;
    while (wanted !== null && wanted.key !== element.dataset["picture"] && !life.signal.aborted) {
      const { key, query } = wanted;
      const before = address;
      try {
        address = await loader.picture(`${seriesPath(`${meta.dataset}/${meta.series}`)}/slice`, query, life.signal);
        if (wanted === null) break; // nothing is to be shown now
        element.src = address;
        await element.decode();
      } catch {
        wanted = null; // the session, which asks for the same slice's values, says what is wrong
        break;
      } finally {
        if (before.startsWith("blob:")) URL.revokeObjectURL(before);
      }
      element.dataset["picture"] = key;
    }
    under = false;
  }

  return {
    draw(state, { image, exact, level }, placement) {
      element.hidden = image === null || !exact;
      if (image === null) {
        wanted = null;
        delete element.dataset["picture"];
        element.removeAttribute("src");
      }
      if (image === null || !exact) return;
      element.style.width = `${String(image.columns)}px`;
      element.style.height = `${String(image.rows)}px`;
      element.style.transform = pictureTransform(
        textureMap(shownPlane(meta, state), placement, image.rows, image.columns),
        devicePixelRatio,
      );
      element.style.imageRendering = state.smooth ? "auto" : "pixelated";
      element.style.filter = state.invert ? "invert(1)" : "";
      const key = [state.plane, state.index, state.frame, level, ...state.window].join(" ");
      if (wanted?.key === key) return;
      wanted = { key, query: pictureQuery(meta, state, level) };
      if (!under) void bring();
    },
    dispose() {
      life.abort();
      if (address.startsWith("blob:")) URL.revokeObjectURL(address);
      element.remove();
    },
  };
}
