// Draws one slice with the 2-D canvas, by the processor: for the first image, which waits for no graphics driver, and wherever
// WebGL2 is missing or is itself only a program. The same values and the same window as slice2d.
import type { Slice } from "../contract";
import { colorTable, tablePlace } from "./colors";
import type { Engine, Layer, Scene } from "./engine";
import { windowLevels } from "./shaders";

/** A part of a slice, in its rows and columns. */
export interface Part {
  row: number;
  column: number;
  rows: number;
  columns: number;
}

type Window = Pick<Scene, "window" | "inverted">;

const WHOLE = 2 ** 20; // voxels up to which a slice is toned whole: panning then costs nothing
const WIDEST = 2 ** 16; // values of the types that are looked up
const OPAQUE = 0xff000000; // bytes are red, green, blue, alpha: every machine that runs a browser is little-endian

/** Grey of a value, 0 to 255, not rounded. */
function greyOf({ window, inverted }: Window, integer: boolean): (value: number) => number {
  const [lowest, range] = windowLevels(window, integer);
  return (value) => {
    const grey = (Math.min(Math.max(value - lowest, 0), range) / range) * 255;
    return inverted ? 255 - grey : grey;
  };
}

/** RGBA of every value of 16 bits, by its bits: the window is worked out once for each value, not for each voxel. */
export function greyTable(window: Window, signed: boolean): Uint32Array {
  const grey = greyOf(window, true);
  const rounded = new Uint8ClampedArray(1); // rounds as a framebuffer does
  const table = new Uint32Array(WIDEST);
  for (let bits = 0; bits < WIDEST; bits += 1) {
    rounded[0] = grey(signed && bits >= WIDEST / 2 ? bits - WIDEST : bits);
    table[bits] = OPAQUE | ((rounded[0] ?? 0) * 0x010101);
  }
  return table;
}

/** Write RGBA of a part of a slice under a window into `pixels`: what slice2d's shader computes, a voxel at a time. */
export function tone(pixels: Uint32Array, slice: Slice, part: Part, window: Window, table: Uint32Array): void {
  const { values, samples, columns } = slice;
  const grey = greyOf(window, false);
  const flip = window.inverted ? 255 : 0;
  const rounded = new Uint8ClampedArray(1);
  let to = 0;
  for (let row = part.row; row < part.row + part.rows; row += 1) {
    const from = row * columns + part.column;
    if (samples === 3) {
      for (let at = from * 3; at < (from + part.columns) * 3; at += 3) {
        const [red, green, blue] = [values[at] ?? 0, values[at + 1] ?? 0, values[at + 2] ?? 0];
        pixels[to++] = OPAQUE | Math.abs(flip - red) | (Math.abs(flip - green) << 8) | (Math.abs(flip - blue) << 16);
      }
    } else if (values instanceof Float32Array) {
      for (let at = from; at < from + part.columns; at += 1) {
        rounded[0] = grey(values[at] ?? 0);
        pixels[to++] = OPAQUE | ((rounded[0] ?? 0) * 0x010101);
      }
    } else {
      for (let at = from; at < from + part.columns; at += 1) pixels[to++] = table[(values[at] ?? 0) & 0xffff] ?? 0;
    }
  }
}

export interface Tint {
  table: Uint8Array;
  opacity: number;
  outline: boolean;
}

/** Call `take` with each voxel of `part` that has a label: its place in the part, its colour's place in the table, its strength. */
function eachLabel(
  labels: Slice,
  part: Part,
  { table, opacity, outline }: Tint,
  take: (at: number, place: number, by: number) => void,
): void {
  const { rows, columns, values } = labels;
  for (let row = part.row; row < part.row + part.rows; row += 1) {
    for (let column = part.column; column < part.column + part.columns; column += 1) {
      const from = row * columns + column;
      const number = values[from] ?? 0;
      if (number === 0) continue;
      const place = tablePlace(number) * 4;
      const edge =
        outline &&
        ((row > 0 ? values[from - columns] : 0) !== number ||
          (row < rows - 1 ? values[from + columns] : 0) !== number ||
          (column > 0 ? values[from - 1] : 0) !== number ||
          (column < columns - 1 ? values[from + 1] : 0) !== number);
      take((row - part.row) * part.columns + column - part.column, place, ((table[place + 3] ?? 0) / 255) * (edge ? 1 : opacity));
    }
  }
}

/** Write RGBA of labels alone: areas at `opacity`, and with `outline` voxels at a segment's edge fully. */
export function tint(pixels: Uint32Array, labels: Slice, part: Part, how: Tint): void {
  pixels.fill(0);
  const alpha = new Uint8ClampedArray(1);
  eachLabel(labels, part, how, (at, place, by) => {
    alpha[0] = by * 255;
    const [red, green, blue] = [how.table[place] ?? 0, how.table[place + 1] ?? 0, how.table[place + 2] ?? 0];
    pixels[at] = ((alpha[0] ?? 0) << 24) | (blue << 16) | (green << 8) | red;
  });
}

/** Lay labels over toned voxels of the same grid, rounded once, as the shader does. */
export function blend(pixels: Uint32Array, slice: Slice, labels: Slice, part: Part, window: Window, how: Tint): void {
  const integer = !(slice.values instanceof Float32Array);
  const grey = greyOf(window, integer);
  const channels = new Uint8ClampedArray(pixels.buffer, pixels.byteOffset);
  eachLabel(labels, part, how, (at, place, by) => {
    const row = part.row + Math.floor(at / part.columns);
    const voxel = row * slice.columns + part.column + (at % part.columns);
    for (let channel = 0; channel < 3; channel += 1) {
      const under = slice.samples === 3 ? (channels[at * 4 + channel] ?? 0) : grey(slice.values[voxel] ?? 0);
      channels[at * 4 + channel] = under * (1 - by) + (how.table[place + channel] ?? 0) * by;
    }
  });
}

/** The part of a slice that a viewport of `width` x `height` pixels shows, a voxel more at each side; of a small slice all of it. */
export function partShown({ slice, map }: Layer, width: number, height: number): Part | null {
  const { rows, columns } = slice;
  if (rows * columns <= WHOLE) return { row: 0, column: 0, rows, columns };
  const [a, b, c, d, e, f] = map;
  const along = (x: number, y: number, z: number, length: number): [number, number] => {
    const ends = [z, x * width + z, y * height + z, x * width + y * height + z];
    return [Math.max(0, Math.floor(Math.min(...ends)) - 1), Math.min(length, Math.ceil(Math.max(...ends)) + 1)];
  };
  const [left, right] = along(a, b, c, columns);
  const [top, bottom] = along(d, e, f, rows);
  return right <= left || bottom <= top ? null : { row: top, column: left, rows: bottom - top, columns: right - left };
}

interface Sheet {
  canvas: HTMLCanvasElement;
  context: CanvasRenderingContext2D | null;
  image: ImageData | null;
  pixels: Uint32Array<ArrayBuffer>;
  holds: string;
}

function createSheet(): Sheet {
  const canvas = document.createElement("canvas");
  // the sheet is written by the processor each time: in a graphics card's memory it would only travel
  const context = canvas.getContext("2d", { willReadFrequently: true });
  return { canvas, context, image: null, pixels: new Uint32Array(new ArrayBuffer(0)), holds: "" };
}

/** The engine on `canvas`, or null where the browser has no canvas at all. */
export function createCanvas2d(canvas: HTMLCanvasElement): Engine | null {
  // by the processor, also where a graphics driver would take the canvas: drivers find the voxel under a pixel less exactly
  const context = canvas.getContext("2d", { alpha: false, willReadFrequently: true });
  if (context === null) return null;
  let sheets = { image: createSheet(), label: createSheet() };
  const names = new WeakMap<Slice, number>(); // so that a slice is toned once a window, not once a frame
  let named = 0;
  let colors = colorTable(new Map());
  let tables = 0;
  let greys: { key: string; table: Uint32Array } = { key: "", table: new Uint32Array(0) };

  function nameOf(slice: Slice): number {
    const name = names.get(slice) ?? (named += 1);
    names.set(slice, name);
    return name;
  }

  function greysOf(slice: Slice, window: Window): Uint32Array {
    if (slice.samples === 3 || slice.values instanceof Float32Array) return greys.table;
    const signed = slice.values instanceof Int16Array || slice.values instanceof Int8Array;
    const key = `${window.window.join()} ${String(window.inverted)} ${String(signed)}`;
    if (greys.key !== key) greys = { key, table: greyTable(window, signed) };
    return greys.table;
  }

  function paint(sheet: Sheet, layer: Layer, part: Part, key: string, fill: (pixels: Uint32Array) => void, smooth: boolean): void {
    const wanted = `${String(nameOf(layer.slice))} ${Object.values(part).join()} ${key}`;
    if (sheet.holds !== wanted) {
      if (sheet.image?.width !== part.columns || sheet.image.height !== part.rows) {
        // a clear voxel around, so that the outermost ones keep their edges too: a picture's own edge is blended
        [sheet.canvas.width, sheet.canvas.height] = [part.columns + 2, part.rows + 2];
        sheet.image = new ImageData(part.columns, part.rows);
        sheet.pixels = new Uint32Array(sheet.image.data.buffer as ArrayBuffer);
      }
      fill(sheet.pixels);
      sheet.context?.putImageData(sheet.image, 1, 1);
      sheet.holds = wanted;
    }
    if (context === null) return;
    const [a, b, c, d, e, f] = layer.map; // pixel to texel; the canvas wants texel to pixel
    const scale = a * e - b * d;
    context.setTransform(e / scale, -d / scale, -b / scale, a / scale, (b * f - c * e) / scale, (c * d - a * f) / scale);
    context.imageSmoothingEnabled = smooth;
    const { row, column, rows, columns } = part;
    if (smooth) context.drawImage(sheet.canvas, 1, 1, columns, rows, column, row, columns, rows);
    else context.drawImage(sheet.canvas, column - 1, row - 1);
  }

  return {
    setColors(known, hidden) {
      colors = colorTable(known, hidden);
      tables += 1;
    },
    draw(scene, width, height) {
      if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.fillStyle = "#000";
      context.fillRect(0, 0, width, height);
      const { image, label, smooth } = scene;
      // nor does a sheet keep what was shown
      if (image === null && sheets.image.holds + sheets.label.holds !== "") sheets = { image: createSheet(), label: createSheet() };
      const part = image === null ? null : partShown(image, width, height);
      if (image === null || part === null) return;
      const how = { table: colors, opacity: scene.opacity, outline: scene.outline };
      const toned = `${scene.window.join()} ${String(scene.inverted)}`;
      const tinted = `${String(tables)} ${String(scene.opacity)} ${String(scene.outline)}`;
      // on one grid, and not interpolated, both are one picture: its colours are rounded once
      const same = label !== null && !smooth && label.map.every((value, at) => value === image.map[at]);
      const one = same && label.slice.rows === image.slice.rows && label.slice.columns === image.slice.columns ? label.slice : null;
      const key = one === null ? toned : `${toned} ${String(nameOf(one))} ${tinted}`;
      const fill = (pixels: Uint32Array): void => {
        tone(pixels, image.slice, part, scene, greysOf(image.slice, scene));
        if (one !== null) blend(pixels, image.slice, one, part, scene, how);
      };
      paint(sheets.image, image, part, key, fill, smooth);
      const under = label === null || one !== null ? null : partShown(label, width, height);
      if (label === null || under === null) return;
      const over = (pixels: Uint32Array): void => {
        tint(pixels, label.slice, under, how);
      };
      paint(sheets.label, label, under, tinted, over, false);
    },
    dispose: () => undefined,
  };
}
