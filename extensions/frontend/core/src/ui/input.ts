// Wheel, pointer and keys to changes of state.
import { frameCount, planeOf, reset, scrolled, corrected, dragged, withPlane, type Store, type ViewState } from "../state";
import type { SeriesMeta } from "../contract";

export interface InputOptions {
  canvas: HTMLCanvasElement;
  /** What takes keys: the canvas and the bar around it. */
  root: HTMLElement;
  store: Store<ViewState>;
  meta: SeriesMeta;
  /** The least window width that makes sense for the values. */
  leastWidth: number;
  toggleHelp(): void;
  onHover(at: { x: number; y: number } | null): void;
}

const WHEEL_STEP = 40; // wheel units a slice on a touchpad; a mouse's notch is more and counts once
const ZOOM_STEP = 1.15;
const TOUCH_STEP = 12; // px of a finger a slice

/** Listen; returns how to stop. */
export function listen(options: InputOptions): () => void {
  const { canvas, root, store, meta } = options;
  const stop = new AbortController();
  const { signal } = stop;
  let rest = 0;
  let drag: { mode: "window" | "pan" | "scroll"; x: number; y: number; start: ViewState; dpr: number } | null = null;

  const change = (next: ViewState): void => {
    store.set(corrected(meta, next));
  };

  canvas.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      if (event.ctrlKey) {
        change({ ...store.get(), zoom: store.get().zoom * (event.deltaY < 0 ? ZOOM_STEP : 1 / ZOOM_STEP) });
        return;
      }
      const notch = event.deltaMode !== WheelEvent.DOM_DELTA_PIXEL || Math.abs(event.deltaY) >= WHEEL_STEP;
      rest = notch ? 0 : rest + event.deltaY;
      const by = notch ? Math.sign(event.deltaY) : Math.trunc(rest / WHEEL_STEP);
      rest -= notch ? 0 : by * WHEEL_STEP;
      if (by !== 0) store.set(scrolled(meta, store.get(), by));
    },
    { passive: false, signal },
  );

  canvas.addEventListener(
    "pointerdown",
    (event) => {
      if (event.button > 1) return;
      const touch = event.pointerType === "touch";
      const mode = event.button === 1 || event.shiftKey ? "pan" : touch ? "scroll" : "window";
      drag = { mode, x: event.clientX, y: event.clientY, start: store.get(), dpr: devicePixelRatio };
      canvas.setPointerCapture(event.pointerId);
      canvas.focus({ preventScroll: true });
      event.preventDefault();
    },
    { signal },
  );
  canvas.addEventListener(
    "pointermove",
    (event) => {
      const box = canvas.getBoundingClientRect();
      options.onHover({ x: (event.clientX - box.left) * devicePixelRatio, y: (event.clientY - box.top) * devicePixelRatio });
      if (drag === null) return;
      const [dx, dy] = [event.clientX - drag.x, event.clientY - drag.y];
      const now = store.get();
      if (drag.mode === "window") change({ ...now, window: dragged(drag.start.window, dx, dy, options.leastWidth) });
      else if (drag.mode === "scroll") change({ ...now, index: drag.start.index + Math.trunc(dy / TOUCH_STEP) });
      else change({ ...now, pan: [drag.start.pan[0] + dx * drag.dpr, drag.start.pan[1] + dy * drag.dpr] });
    },
    { signal },
  );
  for (const name of ["pointerup", "pointercancel"] as const) {
    canvas.addEventListener(name, () => (drag = null), { signal });
  }
  canvas.addEventListener("pointerleave", () => options.onHover(null), { signal });

  function onKey(key: string): boolean {
    const now = store.get();
    const last = planeOf(meta, now.plane).count - 1;
    const frames = frameCount(meta);
    const plane = { a: "axial", c: "coronal", s: "sagittal" }[key];
    if (plane !== undefined) {
      if (meta.planes.some((one) => one.name === plane)) store.set(withPlane(meta, now, plane));
      return true;
    }
    const steps: Record<string, () => ViewState> = {
      ArrowUp: () => ({ ...now, index: now.index - 1 }),
      ArrowDown: () => ({ ...now, index: now.index + 1 }),
      PageUp: () => ({ ...now, index: now.index - 10 }),
      PageDown: () => ({ ...now, index: now.index + 10 }),
      Home: () => ({ ...now, index: 0 }),
      End: () => ({ ...now, index: last }),
      ArrowLeft: () => ({ ...now, frame: (now.frame + frames - 1) % frames }),
      ArrowRight: () => ({ ...now, frame: (now.frame + 1) % frames }),
      "+": () => ({ ...now, zoom: now.zoom * ZOOM_STEP }),
      "-": () => ({ ...now, zoom: now.zoom / ZOOM_STEP }),
      o: () => ({ ...now, overlay: !now.overlay }),
      r: () => reset(meta, now),
    };
    const step = steps[key];
    if (step === undefined) return false;
    change(step());
    return true;
  }

  root.addEventListener(
    "keydown",
    (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const from = event.target as HTMLElement;
      const typing = from instanceof HTMLSelectElement || from instanceof HTMLInputElement;
      if (event.key === "?") options.toggleHelp();
      else if ((typing && event.key.length > 1) || !onKey(event.key)) return;
      event.preventDefault();
      event.stopPropagation(); // a notebook's own keys stay out of the image
    },
    { signal },
  );
  return () => {
    stop.abort();
  };
}
