// Draws one slice where the browser has no WebGL2, with the 2-D canvas: the same values and the same window, by the processor.
import type { Slice } from "../contract";
import { colorTable, tablePlace } from "./colors";
import type { Engine, Layer, Scene } from "./engine";
import { windowLevels } from "./shaders";

/** RGBA of a slice's values under a window: what slice2d's shader computes, a voxel at a time. */
export function toned(slice: Slice, scene: Pick<Scene, "window" | "inverted">): Uint8ClampedArray {
  const { values, samples } = slice;
  const count = slice.rows * slice.columns;
  const pixels = new Uint8ClampedArray(count * 4); // rounds, as a WebGL framebuffer does
  const [lowest, range] = windowLevels(scene.window, !(values instanceof Float32Array));
  const flip = scene.inverted ? 255 : 0;
  for (let at = 0; at < count; at += 1) {
    for (let sample = 0; sample < 3; sample += 1) {
      const stored = values[samples === 3 ? at * 3 + sample : at] ?? 0;
      const shown = samples === 3 ? stored : (Math.min(Math.max(stored - lowest, 0), range) / range) * 255;
      pixels[at * 4 + sample] = Math.abs(flip - shown);
    }
    pixels[at * 4 + 3] = 255;
  }
  return pixels;
}

/** RGBA of labels: areas at `opacity`, and with `outline` voxels at a segment's edge fully. */
export function tinted({ rows, columns, values }: Slice, table: Uint8Array, opacity: number, outline: boolean): Uint8ClampedArray {
  const pixels = new Uint8ClampedArray(rows * columns * 4);
  const numberAt = (row: number, column: number): number =>
    row < 0 || column < 0 || row >= rows || column >= columns ? 0 : (values[row * columns + column] ?? 0);
  for (let row = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1) {
      const number = numberAt(row, column);
      if (number === 0) continue;
      const place = tablePlace(number) * 4;
      const edge =
        outline &&
        [numberAt(row - 1, column), numberAt(row + 1, column), numberAt(row, column - 1), numberAt(row, column + 1)].some(
          (other) => other !== number,
        );
      const at = (row * columns + column) * 4;
      pixels.set(table.subarray(place, place + 3), at);
      pixels[at + 3] = (table[place + 3] ?? 0) * (edge ? 1 : opacity);
    }
  }
  return pixels;
}

/** The engine on `canvas`, or null where the browser has no canvas at all. */
export function createCanvas2d(canvas: HTMLCanvasElement): Engine | null {
  const context = canvas.getContext("2d", { alpha: false });
  if (context === null) return null;
  const sheets = { image: document.createElement("canvas"), label: document.createElement("canvas") };
  const held = { image: "", label: "" };
  const names = new WeakMap<Slice, number>(); // so that a slice is toned once a window, not once a frame
  let named = 0;
  let table = colorTable(new Map());
  let tables = 0;

  function nameOf(slice: Slice): number {
    const name = names.get(slice) ?? (named += 1);
    names.set(slice, name);
    return name;
  }

  function paint(which: "image" | "label", { slice, map }: Layer, key: string, pixels: () => Uint8ClampedArray, smooth: boolean): void {
    const sheet = sheets[which];
    const wanted = `${String(nameOf(slice))} ${key}`;
    if (held[which] !== wanted) {
      [sheet.width, sheet.height] = [slice.columns, slice.rows];
      sheet.getContext("2d")?.putImageData(new ImageData(pixels() as Uint8ClampedArray<ArrayBuffer>, slice.columns, slice.rows), 0, 0);
      held[which] = wanted;
    }
    if (context === null) return;
    const [a, b, c, d, e, f] = map; // pixel to texel; the canvas wants texel to pixel
    const scale = a * e - b * d;
    context.setTransform(e / scale, -d / scale, -b / scale, a / scale, (b * f - c * e) / scale, (c * d - a * f) / scale);
    context.imageSmoothingEnabled = smooth;
    context.drawImage(sheet, 0, 0);
  }

  return {
    setColors(colors, hidden) {
      table = colorTable(colors, hidden);
      tables += 1;
    },
    draw(scene, width, height) {
      if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.fillStyle = "#000";
      context.fillRect(0, 0, width, height);
      const { image, label, window, inverted, opacity, outline } = scene;
      if (image === null) return;
      paint("image", image, `${window.join()} ${String(inverted)}`, () => toned(image.slice, scene), scene.smooth);
      if (label !== null) {
        paint(
          "label",
          label,
          `${String(tables)} ${String(opacity)} ${String(outline)}`,
          () => tinted(label.slice, table, opacity, outline),
          false,
        );
      }
    },
    dispose: () => undefined,
  };
}
