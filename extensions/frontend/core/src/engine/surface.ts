// The canvas of a viewer and the engine that draws on it. The first image is drawn by the processor, which can do so at once; where
// there is a graphics card, a second canvas with WebGL2 takes the place of the first when that image is there.
import { createCanvas2d } from "./canvas2d";
import type { Color } from "./colors";
import type { Engine, Scene } from "./engine";
import { knownRenderer, renderer } from "./renderer";
import { createSlice2d } from "./slice2d";

export interface SurfaceOptions {
  /** The canvas is another element now, in the place of the one before. */
  moved(canvas: HTMLCanvasElement): void;
  /** Something is to be drawn anew. */
  ask(): void;
}

export interface Surface {
  draw(scene: Scene, width: number, height: number): void;
  setColors(colors: ReadonlyMap<number, Color>, hidden: readonly number[]): void;
  /** Why nothing can be drawn, in words; empty where it can. */
  readonly problem: string;
  /** Whether this browser has no WebGL2 at all, as far as it is known. */
  readonly plain: boolean;
  dispose(): void;
}

const LOST = "The browser took the graphics context away, often because of too many open viewers. Close some, or run the cell again.";
const NO_CANVAS = "This browser can draw no images.";

const whenIdle = (task: () => void): void => {
  if (typeof requestIdleCallback === "function") requestIdleCallback(task, { timeout: 2000 });
  else setTimeout(task, 50);
};

export function createSurface(first: HTMLCanvasElement, options: SurfaceOptions): Surface {
  let canvas = first;
  let engine: Engine | null = null;
  let problem = "";
  let colors: [ReadonlyMap<number, Color>, readonly number[]] = [new Map(), []];
  let drawn = false;
  let settled = knownRenderer() !== undefined;
  const stop = new AbortController();

  function take(made: Engine | null): void {
    engine = made;
    engine?.setColors(...colors);
    problem = engine === null ? NO_CANVAS : "";
  }

  /** Draw with WebGL2 on `target` from now on; false where that cannot be. */
  function accelerate(target: HTMLCanvasElement): boolean {
    const made = createSlice2d(target);
    if (made === null) return false;
    take(made);
    target.addEventListener(
      "webglcontextlost",
      (event) => {
        event.preventDefault(); // says that we can go on with a new context
        engine = null;
        problem = LOST;
        options.ask();
      },
      { signal: stop.signal },
    );
    target.addEventListener(
      "webglcontextrestored",
      () => {
        take(createSlice2d(target));
        options.ask();
      },
      { signal: stop.signal },
    );
    return true;
  }

  /** After the first image: find out who draws here, and change canvases where it is a card. */
  function settle(): void {
    if (stop.signal.aborted || settled) return;
    if (canvas.matches(":active")) {
      whenIdle(settle); // a hand is on it
      return;
    }
    settled = true;
    if (renderer() === "card") {
      const next = canvas.cloneNode() as HTMLCanvasElement;
      const before = engine;
      if (accelerate(next)) {
        before?.dispose();
        const focused = canvas.matches(":focus");
        canvas.replaceWith(next);
        canvas = next;
        if (focused) next.focus({ preventScroll: true });
        options.moved(next);
      }
    }
    options.ask();
  }

  if (knownRenderer() !== "card" || !accelerate(canvas)) take(createCanvas2d(canvas));

  return {
    draw(scene, width, height) {
      engine?.draw(scene, width, height);
      if (settled || drawn || scene.image === null) return;
      drawn = true;
      requestAnimationFrame(() => {
        whenIdle(settle);
      });
    },
    setColors(...next) {
      colors = next;
      engine?.setColors(...next);
    },
    get problem() {
      return problem;
    },
    get plain() {
      return knownRenderer() === "none";
    },
    dispose() {
      stop.abort();
      engine?.dispose();
    },
  };
}
