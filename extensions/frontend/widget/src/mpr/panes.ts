// The three panes: crosshair lines that move and turn, letters, wheel and drags. They change a `Planes` state; drawing is the engine's.
import {
  dot,
  letters,
  middleOf,
  subtract,
  times,
  turnedIn,
  viewOf,
  VIEWS,
  type Frame,
  type Slab,
  type Vector3,
  type ViewName,
} from "@cohortlab/core";

export interface Planes {
  frame: Frame;
  /** 1 fits the volume's diagonal. */
  zoom: number;
  pan: Readonly<Record<ViewName, readonly [number, number]>>;
  slab: Slab;
  thickness: number;
  opacity: number;
}

export interface PanesOptions {
  get(): Planes;
  set(next: Planes): void;
  focus: Vector3;
  /** mm of a CSS pixel in a pane. */
  pixelSize(): number;
  /** mm of one step of the wheel. */
  step: number;
  dragWindow(dx: number, dy: number, started: boolean): void;
}

export interface Panes {
  elements: HTMLElement[];
  draw(): void;
}

const COLORS: Record<ViewName, string> = { axial: "#5ad1e6", coronal: "#8fe388", sagittal: "#ff9d6e" };
const REACH = 10; // CSS pixels
const HANDLE = 0.36; // of the pane's smaller side, from the crosshair

/** The other two planes cut a view in lines; gives each one's direction on the screen. */
export function linesIn(frame: Frame, name: ViewName): { plane: ViewName; direction: [number, number] }[] {
  const view = viewOf(frame, name);
  return VIEWS.filter((other) => other !== name).map((plane) => {
    const { normal } = viewOf(frame, plane);
    // the line is at a right angle to the other plane's normal
    const [nx, ny] = [dot(normal, view.right), dot(normal, view.down)];
    return { plane, direction: [-ny, nx] };
  });
}

export function createPanes(options: PanesOptions): Panes {
  const stop = VIEWS.map((name) => pane(name, options));
  return {
    elements: stop.map(({ element }) => element),
    draw: () => {
      for (const one of stop) one.draw();
    },
  };
}

function pane(name: ViewName, options: PanesOptions): { element: HTMLElement; draw(): void } {
  const element = document.createElement("div");
  element.className = "pane";
  element.tabIndex = 0;
  element.setAttribute("role", "img");
  element.dataset["view"] = name;
  const sides = ["left", "right", "top", "bottom"].map((side) => `<span class="letter ${side}"></span>`).join("");
  element.innerHTML = `<svg aria-hidden="true"></svg><span class="name">${name.charAt(0).toUpperCase()}${name.slice(1)}</span>${sides}`;
  const drawing = element.querySelector("svg") as SVGSVGElement;
  const text = (side: string, words: string): void => {
    const place = element.querySelector(`.letter.${side}`);
    if (place !== null) place.textContent = words;
  };

  /** The crosshair's place in the pane, in CSS pixels. */
  function crosshair(): [number, number] {
    const { frame, pan } = options.get();
    const view = viewOf(frame, name);
    const from = subtract(frame.center, middleOf(frame, view, options.focus));
    const size = options.pixelSize();
    const [panRight, panDown] = pan[name];
    return [
      element.clientWidth / 2 + (dot(from, view.right) + panRight) / size,
      element.clientHeight / 2 + (dot(from, view.down) + panDown) / size,
    ];
  }

  function moved(by: Vector3): void {
    const now = options.get();
    const { center } = now.frame;
    options.set({ ...now, frame: { ...now.frame, center: [center[0] + by[0], center[1] + by[1], center[2] + by[2]] } });
  }

  function moveTo(x: number, y: number): void {
    const view = viewOf(options.get().frame, name);
    const [cx, cy] = crosshair();
    const size = options.pixelSize();
    const [right, down] = [times(view.right, (x - cx) * size), times(view.down, (y - cy) * size)];
    moved([right[0] + down[0], right[1] + down[1], right[2] + down[2]]);
  }

  const handles = (): [number, number][] => {
    const [cx, cy] = crosshair();
    const reach = Math.min(element.clientWidth, element.clientHeight) * HANDLE;
    return linesIn(options.get().frame, name).flatMap(({ direction: [dx, dy] }) =>
      [1, -1].map((sign): [number, number] => [cx + sign * dx * reach, cy + sign * dy * reach]),
    );
  };

  element.addEventListener("pointerdown", (event) => {
    const box = element.getBoundingClientRect();
    const at = (one: PointerEvent): [number, number] => [one.clientX - box.left, one.clientY - box.top];
    const [x, y] = at(event);
    const [cx, cy] = crosshair();
    const grabbed = event.button === 0 && handles().some(([hx, hy]) => Math.hypot(hx - x, hy - y) <= REACH);
    let [lastX, lastY] = [x, y];
    let angle = Math.atan2(y - cy, x - cx);
    if (event.button === 2) options.dragWindow(0, 0, true);
    const move = (one: PointerEvent): void => {
      const [px, py] = at(one);
      if (grabbed) {
        const next = Math.atan2(py - cy, px - cx);
        options.set({ ...options.get(), frame: turnedIn(options.get().frame, name, next - angle) });
        angle = next;
      } else if (event.button === 2) options.dragWindow(px - x, py - y, false);
      else if (event.button === 1 || event.shiftKey) {
        const now = options.get();
        const [right, down] = now.pan[name];
        const size = options.pixelSize();
        options.set({ ...now, pan: { ...now.pan, [name]: [right + (px - lastX) * size, down + (py - lastY) * size] } });
      } else moveTo(px, py);
      [lastX, lastY] = [px, py];
    };
    if (!grabbed && event.button === 0 && !event.shiftKey) moveTo(x, y);
    element.setPointerCapture(event.pointerId);
    element.focus({ preventScroll: true });
    const end = (): void => {
      element.removeEventListener("pointermove", move);
    };
    element.addEventListener("pointermove", move);
    element.addEventListener("pointerup", end, { once: true });
    element.addEventListener("pointercancel", end, { once: true });
    event.preventDefault();
  });
  element.addEventListener("contextmenu", (event) => {
    event.preventDefault();
    event.stopPropagation();
  });
  const scroll = (by: number): void => {
    moved(times(viewOf(options.get().frame, name).normal, by * options.step));
  };
  element.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      event.stopPropagation();
      const now = options.get();
      // downwards leads to the foot, to the back and to the left, as on slice2d
      if (event.ctrlKey) options.set({ ...now, zoom: Math.min(16, Math.max(0.5, now.zoom * (event.deltaY < 0 ? 1.15 : 1 / 1.15))) });
      else scroll(Math.sign(event.deltaY) * (name === "axial" ? -1 : 1));
    },
    { passive: false },
  );
  element.addEventListener("keydown", (event) => {
    const steps: Record<string, number> = { ArrowUp: -1, ArrowDown: 1, PageUp: -10, PageDown: 10 };
    const by = steps[event.key];
    if (by === undefined) return;
    scroll(by * (name === "axial" ? -1 : 1));
    event.preventDefault();
    event.stopPropagation();
  });

  return {
    element,
    draw() {
      const { frame, slab, thickness } = options.get();
      const view = viewOf(frame, name);
      const [cx, cy] = crosshair();
      const far = element.clientWidth + element.clientHeight;
      const reach = Math.min(element.clientWidth, element.clientHeight) * HANDLE;
      const half = slab === "slice" ? 0 : thickness / 2 / options.pixelSize();
      const parts = linesIn(frame, name).map(({ plane, direction: [dx, dy] }) => {
        const color = COLORS[plane];
        const line = (from: number, to: number, aside: number, dash: string): string =>
          [
            `<line x1="${String(cx + dx * from - dy * aside)}" y1="${String(cy + dy * from + dx * aside)}"`,
            `x2="${String(cx + dx * to - dy * aside)}" y2="${String(cy + dy * to + dx * aside)}" stroke="${color}" ${dash}/>`,
          ].join(" ");
        const slabLines = half > 2 ? [half, -half].map((aside) => line(-far, far, aside, 'stroke-dasharray="4 4"')).join("") : "";
        const ends = [1, -1]
          .map(
            (sign) => `<circle cx="${String(cx + sign * dx * reach)}" cy="${String(cy + sign * dy * reach)}" r="4.5" stroke="${color}"/>`,
          )
          .join("");
        return line(-far, -12, 0, "") + line(12, far, 0, "") + slabLines + ends;
      });
      drawing.innerHTML = parts.join("");
      const back = (vector: Vector3): Vector3 => times(vector, -1);
      text("right", letters(view.right));
      text("left", letters(back(view.right)));
      text("bottom", letters(view.down));
      text("top", letters(back(view.down)));
      const [l, p, s] = frame.center;
      element.setAttribute("aria-label", `${name} plane through L ${l.toFixed(0)}, P ${p.toFixed(0)}, H ${s.toFixed(0)} mm`);
      element.style.borderColor = `${COLORS[name]}55`;
    },
  };
}
