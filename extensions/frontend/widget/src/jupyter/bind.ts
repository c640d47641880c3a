// Traits and state kept the same, both ways (cohortlab/viewer/widget.py says which and how they are written).
import { corrected, isComplete, type Mark, type SeriesMeta, type Store, type ViewState } from "@cohortlab/core";

/** The part of anywidget's model that is used. */
export interface Model {
  get(name: string): unknown;
  set(name: string, value: unknown): void;
  save_changes(): void;
  send(content: object, callbacks?: undefined, buffers?: ArrayBuffer[]): void;
  on(event: string, listener: (content: unknown, buffers: DataView[]) => void): void;
  off(event: string, listener: (content: unknown, buffers: DataView[]) => void): void;
}

const SYNCED = [
  "plane",
  "index",
  "frame",
  "window",
  "overlay",
  "opacity",
  "zoom",
  "pan",
  "rotation",
  "flip",
  "invert",
  "hidden",
  "marks",
] as const;
const QUIET = 120; // ms after the last change until the kernel hears of it: a scroll is one message, not fifty

/** What the traits say; those that this kernel's version does not have are left out. */
export function fromModel(model: Model): Partial<ViewState> {
  const known = SYNCED.map((name) => [name, model.get(name)] as const).filter(([, value]) => value !== undefined && value !== null);
  return Object.fromEntries(known) as Partial<ViewState>;
}

function said(state: ViewState, name: (typeof SYNCED)[number]): unknown {
  return name === "marks" ? state.marks.filter((mark: Mark) => isComplete(mark)) : state[name];
}

/** Bind traits and state both ways; returns how to let go. */
export function bind(model: Model, store: Store<ViewState>, meta: SeriesMeta): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const send = (): void => {
    timer = undefined;
    const state = store.get();
    let changed = false;
    for (const name of SYNCED) {
      const [now, next] = [model.get(name), said(state, name)];
      if (now === undefined || JSON.stringify(now) === JSON.stringify(next)) continue;
      model.set(name, next);
      changed = true;
    }
    if (changed) model.save_changes();
  };
  const unsubscribe = store.subscribe(() => {
    clearTimeout(timer);
    timer = setTimeout(send, QUIET);
  });
  const take = (): void => {
    store.set(corrected(meta, { ...store.get(), ...fromModel(model) }));
  };
  for (const name of SYNCED) model.on(`change:${name}`, take);
  return () => {
    unsubscribe();
    if (timer !== undefined) {
      clearTimeout(timer);
      send(); // the last change is not lost with the view
    }
    for (const name of SYNCED) model.off(`change:${name}`, take);
  };
}
