// The viewer as a Jupyter widget (anywidget): keeps the kernel's traits and the viewer's state the same. Pixels come by HTTP
// from the session's server, so the image does not wait for a busy kernel and never enters a notebook.
import { basePath, CAVEAT, corrected, createLoader, createStore, initialState, LoadError, mountViewer, xsrfToken } from "@cohortlab/core";
import type { Loader, SeriesMeta, Store, ViewState } from "@cohortlab/core";

/** The part of anywidget's model that is used. */
interface Model {
  get(name: string): unknown;
  set(name: string, value: unknown): void;
  save_changes(): void;
  on(event: string, listener: () => void): void;
  off(event: string, listener: () => void): void;
}

const SYNCED = ["plane", "index", "frame", "window", "overlay", "opacity"] as const;
const QUIET = 120; // ms after the last change until the kernel hears of it: a scroll is one message, not fifty

let shared: Loader | undefined;

/** One loader, and so one cache, for all viewers of the page. */
function pageLoader(): Loader {
  shared ??= createLoader({ base: new URL(basePath(), location.href).href, xsrf: () => xsrfToken() });
  return shared;
}

function fromModel(model: Model): Partial<ViewState> {
  return Object.fromEntries(SYNCED.map((name) => [name, model.get(name)])) as Partial<ViewState>;
}

/** Bind traits and state both ways; returns how to let go. */
function bind(model: Model, store: Store<ViewState>, meta: SeriesMeta): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const send = (): void => {
    timer = undefined;
    const state = store.get();
    for (const name of SYNCED) {
      if (JSON.stringify(model.get(name)) !== JSON.stringify(state[name])) model.set(name, state[name]);
    }
    model.save_changes();
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
    clearTimeout(timer);
    for (const name of SYNCED) model.off(`change:${name}`, take);
  };
}

function say(el: HTMLElement, message: string): void {
  const text = document.createElement("p");
  text.setAttribute("role", "alert");
  text.textContent = `${message} (${CAVEAT}.)`;
  el.replaceChildren(text);
}

export default {
  async render({ model, el }: { model: Model; el: HTMLElement }): Promise<() => void> {
    const loader = pageLoader();
    const [series, label] = [String(model.get("series")), String(model.get("label"))];
    let described: [SeriesMeta, SeriesMeta | null];
    try {
      described = await Promise.all([loader.meta(series), label === "" ? null : loader.meta(label)]);
    } catch (error) {
      if (!(error instanceof LoadError)) throw error;
      say(el, error.message);
      return () => undefined;
    }
    const [meta, labelMeta] = described;
    const store = createStore(corrected(meta, { ...initialState(meta, label), ...fromModel(model) }));
    const place = document.createElement("div");
    el.replaceChildren(place);
    const unbind = bind(model, store, meta);
    const unmount = mountViewer(place, { loader, store, meta, label: labelMeta });
    return () => {
      unbind();
      unmount();
    };
  },
};
