// Wheel, pointers and fingers to changes of state. Drawing on the image is given to a hand, which makes gestures of its own.
import type { SeriesMeta } from "../contract";
import { corrected, dragged, leastWidth, scrolled, zoomed, type Store, type ViewState } from "../state";
import { ZOOM_STEP } from "./keys";

/** What one pressed pointer does until it is let go; places are in viewport pixels. */
export interface Gesture {
  move(x: number, y: number, event: PointerEvent): void;
  end(): void;
  /** A second finger came: as if nothing had begun. */
  cancel(): void;
}

/** Draws marks or paints: gives a gesture when it takes the press. */
export type Hand = (x: number, y: number, event: PointerEvent) => Gesture | null;

export interface InputOptions {
  canvas: HTMLElement;
  store: Store<ViewState>;
  meta: SeriesMeta;
  hand: Hand;
  onHover(at: { x: number; y: number } | null): void;
}

const WHEEL_STEP = 40; // wheel units a slice on a touchpad; a mouse's notch is more and counts once
const FINGER_STEP = 12; // px of a finger or a scroll drag a slice
const ZOOM_PIXELS = 150; // px of a drag that zooms by e

/** Listen; returns how to stop. */
export function listen(options: InputOptions): () => void {
  const { canvas, store, meta } = options;
  const stop = new AbortController();
  const { signal } = stop;
  let rest = 0;
  const fingers = new Map<number, PointerEvent>();
  let gesture: Gesture | null = null;

  const change = (next: ViewState): void => {
    store.set(corrected(meta, next));
  };

  function place(event: MouseEvent): { x: number; y: number; fromMiddle: [number, number] } {
    const box = canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    return { x: x * devicePixelRatio, y: y * devicePixelRatio, fromMiddle: [x - box.width / 2, y - box.height / 2] };
  }

  /** A gesture that changes the view by how far the pointer went, in CSS pixels. */
  function viewGesture(event: PointerEvent, next: (start: ViewState, dx: number, dy: number) => ViewState): Gesture {
    const start = store.get();
    return {
      move: (_x, _y, now) => {
        change(next(start, now.clientX - event.clientX, now.clientY - event.clientY));
      },
      end: () => undefined,
      cancel: () => undefined,
    };
  }

  function begin(event: PointerEvent): Gesture | null {
    const { x, y, fromMiddle } = place(event);
    const { tool } = store.get();
    const pan = (): Gesture =>
      viewGesture(event, (start, dx, dy) => ({ ...store.get(), pan: [start.pan[0] + dx / start.zoom, start.pan[1] + dy / start.zoom] }));
    const zoom = (): Gesture =>
      viewGesture(event, (start, _dx, dy) => {
        const { zoom, pan } = zoomed(start, Math.exp(-dy / ZOOM_PIXELS), ...fromMiddle);
        return { ...store.get(), zoom, pan };
      });
    if (event.button === 1 || (event.button === 0 && event.shiftKey)) return pan();
    if (event.button === 2) return zoom();
    if (event.button !== 0) return null;
    const taken = options.hand(x, y, event);
    if (taken !== null) return taken;
    if (tool === "pan") return pan();
    if (tool === "zoom") return zoom();
    if (tool === "scroll" || event.pointerType === "touch") {
      return viewGesture(event, (start, _dx, dy) => ({ ...store.get(), index: start.index + Math.trunc(dy / FINGER_STEP) }));
    }
    return viewGesture(event, (start, dx, dy) => ({ ...store.get(), window: dragged(start.window, dx, dy, leastWidth(meta)) }));
  }

  /** Two fingers: their distance zooms, their middle moves. */
  function pinch(): Gesture {
    const [one, other] = [...fingers.values()] as [PointerEvent, PointerEvent];
    const start = store.get();
    const span = (a: PointerEvent, b: PointerEvent): number => Math.max(1, Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY));
    const center = (a: PointerEvent, b: PointerEvent): [number, number] => {
      const box = canvas.getBoundingClientRect();
      return [(a.clientX + b.clientX) / 2 - box.left - box.width / 2, (a.clientY + b.clientY) / 2 - box.top - box.height / 2];
    };
    const [first, from] = [span(one, other), center(one, other)];
    return {
      move: () => {
        const [a, b] = [...fingers.values()];
        if (a === undefined || b === undefined) return;
        const now = center(a, b);
        const { zoom, pan } = zoomed(start, span(a, b) / first, ...from);
        change({ ...store.get(), zoom, pan: [pan[0] + (now[0] - from[0]) / zoom, pan[1] + (now[1] - from[1]) / zoom] });
      },
      end: () => undefined,
      cancel: () => undefined,
    };
  }

  canvas.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      if (event.ctrlKey) {
        change(zoomed(store.get(), event.deltaY < 0 ? ZOOM_STEP : 1 / ZOOM_STEP, ...place(event).fromMiddle));
        return;
      }
      const notch = event.deltaMode !== WheelEvent.DOM_DELTA_PIXEL || Math.abs(event.deltaY) >= WHEEL_STEP;
      rest = notch ? 0 : rest + event.deltaY;
      const by = notch ? Math.sign(event.deltaY) : Math.trunc(rest / WHEEL_STEP);
      rest -= notch ? 0 : by * WHEEL_STEP;
      if (by !== 0) store.set({ ...scrolled(meta, store.get(), by), playing: false });
    },
    { passive: false, signal },
  );
  canvas.addEventListener(
    "pointerdown",
    (event) => {
      if (event.pointerType === "touch") fingers.set(event.pointerId, event);
      if (fingers.size === 2) {
        gesture?.cancel();
        gesture = pinch();
      } else if (fingers.size < 2) gesture = begin(event);
      canvas.setPointerCapture(event.pointerId);
      canvas.focus({ preventScroll: true });
      event.preventDefault();
    },
    { signal },
  );
  canvas.addEventListener(
    "pointermove",
    (event) => {
      if (fingers.has(event.pointerId)) fingers.set(event.pointerId, event);
      const { x, y } = place(event);
      options.onHover({ x, y });
      gesture?.move(x, y, event);
    },
    { signal },
  );
  for (const name of ["pointerup", "pointercancel"] as const) {
    canvas.addEventListener(
      name,
      (event) => {
        fingers.delete(event.pointerId);
        if (name === "pointerup") gesture?.end();
        else gesture?.cancel();
        gesture = null;
      },
      { signal },
    );
  }
  canvas.addEventListener(
    "pointerleave",
    () => {
      options.onHover(null);
    },
    { signal },
  );
  for (const name of ["contextmenu", "dblclick"] as const) {
    // a right drag zooms: neither the browser's menu nor JupyterLab's may open over it
    canvas.addEventListener(
      name,
      (event) => {
        event.preventDefault();
        event.stopPropagation();
      },
      { signal },
    );
  }
  return () => {
    stop.abort();
  };
}
