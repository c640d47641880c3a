// The pictures on the buttons: paths on a grid of 24, drawn in the ink's colour.
import { svg } from "./dom";

const PATHS = {
  window: "M12 3a9 9 0 1 0 0 18zM12 3a9 9 0 0 1 0 18",
  scroll: "M6 4h12M6 20h12M4 9h16v6H4z",
  pan: "M12 2v20M2 12h20M9 5l3-3 3 3M9 19l3 3 3-3M5 9l-3 3 3 3M19 9l3 3-3 3",
  zoom: "M10.5 4a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13zM15.5 15.5 21 21M7.5 10.500h6M10.5 7.500v6",
  length: "M4 20 20 4M2.5 18.500l3 3M18.5 2.500l3 3",
  bidirectional: "M4 20 20 4M8 8l8 8M2.5 18.500l3 3M18.5 2.500l3 3",
  angle: "M4 20 17 4M4 20h17M10 13a8 8 0 0 1 3 7",
  ellipse: "M12 5c5 0 9 3 9 7s-4 7-9 7-9-3-9-7 4-7 9-7z",
  rectangle: "M4 6h16v12H4z",
  freehand: "M5 15c-3-6 4-11 8-9s9 3 7 8-7 7-10 4-4 0-5-3z",
  point: "M12 4v6M12 14v6M4 12h6M14 12h6",
  brush: "M20 3c-5 2-9 6-11 10l2 2c4-2 8-6 10-11zM8 14c-3 0-3 3-5 5 3 1 7 0 7-3z",
  threshold: "M3 20h18M5 20v-5M9 20V9M13 20V5M17 20v-8M3 12h18",
  scissors: "M6 4.500a2.5 2.5 0 1 1 0 5 2.5 2.5 0 0 1 0-5zM6 14.500a2.5 2.5 0 1 1 0 5 2.5 2.5 0 0 1 0-5zM8 8.5 20 17M8 15.5 20 7",
  erase: "M8 20h12M4 15l9-10 7 6-8 9H8z",
  rotate: "M19 12a7 7 0 1 1-3-5.700M17 2v5h-5",
  across: "M12 3v18M9 7 3 17h6zM15 7l6 10h-6z",
  down: "M3 12h18M7 9l10-6v6zM7 15l10 6v-6z",
  invert: "M4 4h16v16H4zM4 4h16L4 20zM6 6h6M5 10h4",
  play: "M7 4l13 8-13 8z",
  pause: "M7 4v16M17 4v16",
  reset: "M4 12a8 8 0 1 0 3-6.200M4 3v5h5",
  undo: "M9 14 4 9l5-5M4 9h10a6 6 0 0 1 0 12h-3",
  redo: "M15 14l5-5-5-5M20 9H10a6 6 0 0 0 0 12h3",
  panel: "M3 4h18v16H3zM15 4v16",
  planes: "M12 3v18M3 12h18M3 3h18v18H3z",
  remove: "M5 7h14M9 7V4h6v3M7 7l1 13h8l1-13",
  save: "M5 4h11l3 3v13H5zM8 4v5h7V4M8 20v-6h8v6",
} as const;

export type Icon = keyof typeof PATHS;

export function icon(name: Icon): SVGElement {
  const path = svg("path", { d: PATHS[name] });
  return svg("svg", { viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true" }, path);
}
