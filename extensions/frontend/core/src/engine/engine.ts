// What the viewer asks of a drawing engine for one slice. slice2d draws with WebGL2, canvas2d where there is none.
import type { Slice } from "../contract";
import type { TextureMap } from "../placement";
import type { Color } from "./colors";

export interface Layer {
  slice: Slice;
  map: TextureMap;
}

export interface Scene {
  image: Layer | null;
  label: Layer | null;
  /** Centre and width in the image's values; colours are shown as they are. */
  window: readonly [number, number];
  /** The least value is the brightest: MONOCHROME1, or asked for; both together are not. */
  inverted: boolean;
  /** Of the labels' areas. */
  opacity: number;
  /** Draw the labels' edges, fully. */
  outline: boolean;
  /** Bilinear between voxels, else the voxel under the pixel's centre. Labels are never interpolated. */
  smooth: boolean;
}

export interface Engine {
  /** Draw the scene over `width` x `height` device pixels. Without an image nothing stays of the one before. */
  draw(scene: Scene, width: number, height: number): void;
  /** The colours (0 to 255) of segment numbers, others keep the default ones; and the numbers that are not shown. */
  setColors(colors: ReadonlyMap<number, Color>, hidden: readonly number[]): void;
  dispose(): void;
}
