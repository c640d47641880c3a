// The histogram's geometry and words: pure functions; `view.ts` draws them.
import type { Outcome } from "./contract";

export const SIZE = { width: 640, height: 260, left: 62, right: 14, top: 14, bottom: 46 } as const;

export interface Bar {
  x: number;
  y: number;
  width: number;
  height: number;
  /** Some site withheld its count: the true height is not known. */
  hatched: boolean;
  label: string;
}

export interface Tick {
  at: number;
  text: string;
}

/** A number in few characters: 1250 is 1.25k. */
export function short(value: number): string {
  for (const [size, unit] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]] as const) {
    if (Math.abs(value) >= size) return `${Number((value / size).toPrecision(3))}${unit}`;
  }
  return String(Number(value.toPrecision(3)));
}

/** A measured number: four digits, nought kept off the end. */
export const measured = (value: number): string => String(Number(value.toPrecision(4)));

export const whole = (value: number): string => value.toLocaleString("en-US");

/** A round number at or above `most`, for the top of the axis. */
export function roundTop(most: number): number {
  if (most <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(most));
  return ([1, 2, 2.5, 5, 10].find((step) => step * power >= most) ?? 10) * power;
}

/** The bars of the merged histogram, from left to right. */
export function bars(merged: Outcome["merged"], sites: number): Bar[] {
  const width = SIZE.width - SIZE.left - SIZE.right;
  const height = SIZE.height - SIZE.top - SIZE.bottom;
  const top = roundTop(Math.max(...merged.cells.map((cell) => cell.count)));
  const step = width / merged.cells.length;
  const bin = (merged.high - merged.low) / merged.cells.length;
  return merged.cells.map((cell, i) => {
    const tall = (height * cell.count) / top;
    const range = `${short(merged.low + i * bin)} to ${short(merged.low + (i + 1) * bin)}`;
    const withheld = cell.suppressed === 0 ? "" : `, withheld by ${cell.suppressed} of ${sites} sites`;
    return {
      x: SIZE.left + i * step,
      y: SIZE.height - SIZE.bottom - tall,
      width: step,
      height: tall,
      hatched: cell.suppressed > 0,
      label: `${range}: ${whole(cell.count)} voxels${withheld}`,
    };
  });
}

/** The marks of the vertical axis, with their heights. */
export function countTicks(merged: Outcome["merged"]): Tick[] {
  const top = roundTop(Math.max(...merged.cells.map((cell) => cell.count)));
  const height = SIZE.height - SIZE.top - SIZE.bottom;
  return [0, 0.5, 1].map((share) => ({ at: SIZE.height - SIZE.bottom - height * share, text: short(top * share) }));
}

/** The marks of the horizontal axis, with their places. */
export function valueTicks(merged: Outcome["merged"]): Tick[] {
  const width = SIZE.width - SIZE.left - SIZE.right;
  return [0, 0.25, 0.5, 0.75, 1].map((share) => ({
    at: SIZE.left + width * share,
    text: short(merged.low + (merged.high - merged.low) * share),
  }));
}

/** The result in one sentence, for those who do not see the chart. */
export function sentence(outcome: Outcome): string {
  const { merged } = outcome;
  const moments = merged.moments === null ? "mean and deviation withheld" : `mean ${measured(merged.moments.mean)}, standard deviation ${measured(merged.moments.sd)}`;
  const more = merged.count_suppressed > 0 ? " or more" : "";
  return `Result of ${outcome.summary}: ${whole(merged.count)}${more} voxels of ${whole(merged.subjects)} subjects, ${moments}.`;
}

/** Why cells are hatched; empty when none is. */
export function explanation(outcome: Outcome): string {
  const number = outcome.sites.reduce((sum, site) => sum + site.suppressed, 0);
  if (number === 0) return "";
  const minima = [...new Set(outcome.sites.map((site) => site.minimum_count))].sort((a, b) => a - b);
  const least = minima.length === 1 ? String(minima[0]) : `${minima[0]} to ${minima[minima.length - 1]}, by site`;
  return (
    `${number === 1 ? "One count was" : `${number} counts were`} withheld by the sites (hatched): fewer voxels than their minimum (${least}), ` +
    "or a neighbour that would give such a count away. Mean and deviation are over the other cells."
  );
}
