// Which way round a slice is shown: turning and mirroring of a plane, and the letters at its edges, which turn along.
// Letters are from directions in the patient system (PS3.3 C.7.6.1.1.1, C.7.6.2.1.1).
import type { Plane, Side, Vector3 } from "./contract";

const POSITIVE = ["L", "P", "H"] as const;
const NEGATIVE = ["R", "A", "F"] as const;
const SECOND = 0.25; // a second letter where the direction leans by more than some 15 degrees

/** "L", "R", "A", "P", "H" (head) or "F" (foot); two letters, strongest first, for an oblique direction. */
export function letters(direction: Vector3 | null): string {
  if (direction === null) return "";
  return [0, 1, 2]
    .map((axis) => ({ axis, value: direction[axis] ?? 0 }))
    .filter(({ value }, _, all) => Math.abs(value) >= SECOND || Math.abs(value) === Math.max(...all.map((one) => Math.abs(one.value))))
    .sort((one, other) => Math.abs(other.value) - Math.abs(one.value))
    .slice(0, 2)
    .map(({ axis, value }) => (value > 0 ? POSITIVE[axis] : NEGATIVE[axis]) ?? "")
    .join("");
}

function opposite(direction: Vector3 | null): Vector3 | null {
  return direction === null ? null : [-direction[0], -direction[1], -direction[2]];
}

/** The same side seen from its other end. */
function reversed(side: Side): Side {
  return { ...side, sign: side.sign === 1 ? -1 : 1, direction: opposite(side.direction) };
}

/**
 * The plane after mirroring (left to right, top to bottom) and then turning by `rotation` degrees clockwise, a multiple of 90.
 * Everything that is derived from a plane (place, texture, letters, measurements) then follows by itself.
 */
export function turned(plane: Plane, rotation: number, flip: readonly [boolean, boolean]): Plane {
  let right = flip[0] ? reversed(plane.right) : plane.right;
  let down = flip[1] ? reversed(plane.down) : plane.down;
  for (let turn = 0; turn < (rotation / 90) % 4; turn += 1) [right, down] = [reversed(down), right];
  return { ...plane, right, down };
}

/** Letters for the four edges of a plane as it is shown. */
export function edgeLetters(plane: Plane): { left: string; right: string; top: string; bottom: string } {
  return {
    left: letters(opposite(plane.right.direction)),
    right: letters(plane.right.direction),
    top: letters(opposite(plane.down.direction)),
    bottom: letters(plane.down.direction),
  };
}
