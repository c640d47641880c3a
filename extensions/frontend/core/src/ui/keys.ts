// What each key does to the state. Keys that need more than the state (undo, help) are the viewer's.
import type { SeriesMeta } from "../contract";
import { flipped, frameCount, planeOf, quarterTurned, reset, withPlane, withPreset, zoomed, type Tool, type ViewState } from "../state";

export const ZOOM_STEP = 1.15;

const PLANES: Readonly<Record<string, string>> = { a: "axial", c: "coronal", s: "sagittal" };

const TOOLS: Readonly<Record<string, Tool>> = {
  w: "window", d: "length", b: "bidirectional", g: "angle", e: "ellipse", t: "rectangle", y: "freehand", m: "point", p: "brush",
}; // prettier-ignore

/** The state after `key`, or null when the key has no meaning. `onePixel` is the zoom at which a voxel is a pixel. */
export function afterKey(meta: SeriesMeta, now: ViewState, key: string, onePixel: number, canPaint: boolean): ViewState | null {
  const last = planeOf(meta, now.plane).count - 1;
  const frames = frameCount(meta);
  const plain = key.length === 1 ? key.toLowerCase() : key;
  const plane = PLANES[plain];
  if (plane !== undefined) return meta.planes.some(({ name }) => name === plane) ? withPlane(meta, now, plane) : now;
  const tool = TOOLS[plain];
  if (tool !== undefined) return tool === "brush" && !canPaint ? now : { ...now, tool };
  if (/^[1-9]$/.test(key)) return withPreset(meta, now, Number(key) - 1);
  switch (plain) {
    case "ArrowUp":
      return { ...now, index: now.index - 1 };
    case "ArrowDown":
      return { ...now, index: now.index + 1 };
    case "PageUp":
      return { ...now, index: now.index - 10 };
    case "PageDown":
      return { ...now, index: now.index + 10 };
    case "Home":
      return { ...now, index: 0 };
    case "End":
      return { ...now, index: last };
    case "ArrowLeft":
      return { ...now, frame: (now.frame + frames - 1) % frames };
    case "ArrowRight":
      return { ...now, frame: (now.frame + 1) % frames };
    case " ":
      return { ...now, playing: !now.playing };
    case "<":
    case ",":
      return { ...now, rate: now.rate / 1.25 };
    case ">":
    case ".":
      return { ...now, rate: Math.max(now.rate * 1.25, now.rate + 1) };
    case "+":
    case "=":
      return zoomed(now, ZOOM_STEP);
    case "-":
      return zoomed(now, 1 / ZOOM_STEP);
    case "f":
      return { ...now, zoom: 1, pan: [0, 0] };
    case "0":
      return { ...now, zoom: onePixel, pan: [0, 0] };
    case "[":
      return quarterTurned(now, -1);
    case "]":
      return quarterTurned(now, 1);
    case "h":
      return flipped(now, "across");
    case "v":
      return flipped(now, "down");
    case "i":
      return { ...now, invert: !now.invert };
    case "n":
      return { ...now, smooth: !now.smooth };
    case "o":
      return { ...now, overlay: !now.overlay };
    case "l":
      return { ...now, outline: !now.outline };
    case "r":
      return reset(meta, now);
    default:
      return null;
  }
}
