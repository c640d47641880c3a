// The arithmetic of a virtual grid: of thousands of cells only those that can be seen are in the page.

export interface Grid {
  columns: number;
  rows: number;
  /** Height of all rows, in CSS pixels. */
  height: number;
  /** The first cell that is in the page, and the one behind the last. */
  first: number;
  end: number;
}

const SPARE = 1; // rows above and below what is seen, so that a slow scroll shows no gap

/** Cells are `width` x `height` CSS pixels, in a window of `room` pixels width that shows `seen` pixels from `top` on. */
export function gridOf(count: number, cell: { width: number; height: number }, room: number, top: number, seen: number): Grid {
  const columns = Math.max(1, Math.floor(room / cell.width));
  const rows = Math.ceil(count / columns);
  const firstRow = Math.max(0, Math.floor(top / cell.height) - SPARE);
  const endRow = Math.min(rows, Math.ceil((top + seen) / cell.height) + SPARE);
  return { columns, rows, height: rows * cell.height, first: firstRow * columns, end: Math.min(count, endRow * columns) };
}

/** The cell that an arrow key leads to. */
export function stepped(key: string, at: number, count: number, columns: number, page: number): number | null {
  const steps: Record<string, number> = {
    ArrowLeft: at - 1,
    ArrowRight: at + 1,
    ArrowUp: at - columns,
    ArrowDown: at + columns,
    PageUp: at - columns * page,
    PageDown: at + columns * page,
    Home: 0,
    End: count - 1,
  };
  const to = steps[key];
  return to === undefined ? null : Math.min(Math.max(to, 0), count - 1);
}

/** Positions of the items in which all words of the search are. */
export function found(items: readonly { series: string; title: string; text: string }[], search: string): number[] {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  return items.flatMap((item, at) => {
    const text = `${item.series} ${item.title} ${item.text}`.toLowerCase();
    return words.every((word) => text.includes(word)) ? [at] : [];
  });
}
