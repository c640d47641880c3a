// What the viewer asks of a drawing engine. slice2d is one; others (planes with a crosshair, slides) come beside it.
import type { Slice } from "../contract";
import type { TextureMap } from "../placement";

export interface Layer {
  slice: Slice;
  map: TextureMap;
}

export interface Scene {
  image: Layer | null;
  label: Layer | null;
  /** Centre and width in the image's values. */
  window: readonly [number, number];
  /** MONOCHROME1: the least value is the brightest. */
  inverted: boolean;
  opacity: number;
}

export interface Engine {
  /** Draw the scene over `width` x `height` device pixels. */
  draw(scene: Scene, width: number, height: number): void;
  /** The colours (0 to 255) of segment numbers; others keep the default ones. */
  setColors(colors: ReadonlyMap<number, readonly [number, number, number]>): void;
  dispose(): void;
}
