// Where a slice lies in the viewport: true proportions from the spacing, zoom and pan; and back from a pixel to a voxel.
import type { ArrayAxis, Plane } from "./contract";

export interface Viewport {
  width: number;
  height: number;
}

/**
 * Viewport pixel (x, y) to position along the shown sides, in voxels of level 0: `right` and `down` count from the left and
 * top edge of the shown slice. Voxel n covers [n, n + 1).
 */
export interface Placement {
  scale: readonly [number, number];
  offset: readonly [number, number];
  /** mm that one viewport pixel is wide. */
  pixelSize: number;
}

/** `pan` is in viewport pixels at zoom 1: what is in the middle stays there when the zoom changes. */
export function place(plane: Plane, viewport: Viewport, zoom: number, pan: readonly [number, number]): Placement {
  const width = plane.right.count * plane.right.spacing;
  const height = plane.down.count * plane.down.spacing;
  const pixelSize = Math.max(width / viewport.width, height / viewport.height) / zoom;
  const scale = [pixelSize / plane.right.spacing, pixelSize / plane.down.spacing] as const;
  const offset = [
    plane.right.count / 2 - (viewport.width / 2 + pan[0] * zoom) * scale[0],
    plane.down.count / 2 - (viewport.height / 2 + pan[1] * zoom) * scale[1],
  ] as const;
  return { scale, offset, pixelSize };
}

/** Voxels of level 0 in one of a level, along one axis: levels are made by halving, an odd rest counts as a voxel. */
export function levelFactor(full: number, reduced: number): number {
  let factor = 1;
  for (let length = full; length > reduced; length = Math.ceil(length / 2)) factor *= 2;
  return factor;
}

/** Coefficients (a, b, c, d, e, f): texture column = a x + b y + c, row = d x + e y + f of viewport pixel (x, y). */
export type TextureMap = readonly [number, number, number, number, number, number];

/** From viewport pixels to a slice of `rows` x `columns` whose rows and columns follow the array's axis order. */
export function textureMap(plane: Plane, placement: Placement, rows: number, columns: number): TextureMap {
  const order: ArrayAxis[] = ["z", "y", "x"];
  const rightIsColumns = order.indexOf(plane.right.axis) > order.indexOf(plane.down.axis);
  const along = (side: "right" | "down", length: number): [number, number] => {
    const at = side === "right" ? 0 : 1;
    const { count, sign } = plane[side];
    const factor = levelFactor(count, length); // a coarser level has fewer voxels in the same place
    const scale = placement.scale[at] / factor;
    const offset = placement.offset[at] / factor;
    return sign === 1 ? [scale, offset] : [-scale, count / factor - offset];
  };
  const [rightScale, rightOffset] = along("right", rightIsColumns ? columns : rows);
  const [downScale, downOffset] = along("down", rightIsColumns ? rows : columns);
  return rightIsColumns ? [rightScale, 0, rightOffset, 0, downScale, downOffset] : [0, downScale, downOffset, rightScale, 0, rightOffset];
}

/** Row and column of the slice under viewport pixel (x, y), or null outside. */
export function texelAt(map: TextureMap, x: number, y: number, rows: number, columns: number): { row: number; column: number } | null {
  const column = Math.floor(map[0] * x + map[1] * y + map[2]);
  const row = Math.floor(map[3] * x + map[4] * y + map[5]);
  return row >= 0 && row < rows && column >= 0 && column < columns ? { row, column } : null;
}

/** The index in a level's own voxels of level 0's `index`, along an axis of these lengths: the voxel that holds its centre. */
export function indexInLevel(index: number, full: number, reduced: number): number {
  return Math.floor(index / levelFactor(full, reduced));
}

/** The spot of the shown plane, in voxels from its left and top edge, under viewport pixel (x, y); and back. */
export function spotAt({ scale, offset }: Placement, x: number, y: number): { right: number; down: number } {
  return { right: x * scale[0] + offset[0], down: y * scale[1] + offset[1] };
}

export function pixelAt({ scale, offset }: Placement, spot: { right: number; down: number }): [number, number] {
  return [(spot.right - offset[0]) / scale[0], (spot.down - offset[1]) / scale[1]];
}
