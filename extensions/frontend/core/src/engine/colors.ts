// Colours of segments: told apart on grey also by colour-blind eyes (after Okabe and Ito), then repeated.
export type Color = readonly [number, number, number];

export const PALETTE: readonly Color[] = [
  [240, 168, 40],
  [86, 180, 233],
  [0, 190, 130],
  [240, 228, 66],
  [230, 90, 40],
  [204, 121, 187],
  [120, 140, 255],
];

export const TABLE_SIZE = 256;

/** The colour of segment `number` (from 1). */
export function defaultColor(number: number): Color {
  return PALETTE[(number - 1) % PALETTE.length] ?? [255, 255, 255];
}

/** Where a segment number stands in the colour table; higher numbers take the colour of their remainder. */
export function tablePlace(number: number): number {
  return number === 0 ? 0 : ((number - 1) % (TABLE_SIZE - 1)) + 1;
}

/** RGBA of segment numbers 0 to 255; 0 and hidden ones are clear. */
export function colorTable(colors: ReadonlyMap<number, Color>, hidden: readonly number[] = []): Uint8Array {
  const table = new Uint8Array(TABLE_SIZE * 4);
  for (let number = 1; number < TABLE_SIZE; number += 1) {
    const [red, green, blue] = colors.get(number) ?? defaultColor(number);
    table.set([red, green, blue, 255], number * 4);
  }
  for (const number of hidden) table[tablePlace(number) * 4 + 3] = 0;
  return table;
}
