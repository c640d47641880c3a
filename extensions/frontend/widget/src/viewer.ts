// The viewer as a Jupyter widget (anywidget): keeps the kernel's traits and the viewer's state the same. Pixels come by HTTP
// from the session's server, so the image does not wait for a busy kernel and never enters a notebook; where there is no such
// server they come as messages. JupyterLab's own tabs use `openSeries`.
import {
  link,
  LoadError,
  mountViewer,
  createStore,
  corrected,
  initialState,
  type Linked,
  type Loader,
  type SeriesMeta,
  type Store,
  type Viewer,
  type ViewState,
} from "@cohortlab/core";
import { bind, fromModel, type Model } from "./jupyter/bind";
import { lazily } from "./jupyter/lazy";
import { hearFiles, loaderFor } from "./jupyter/page";
import { say } from "./jupyter/say";

interface Described {
  meta: SeriesMeta;
  label: SeriesMeta | null;
}

async function describe(loader: Loader, series: string, label: string): Promise<Described> {
  const [meta, found] = await Promise.all([loader.meta(series), label === "" ? null : loader.meta(label)]);
  return { meta, label: found };
}

/** Whether the page's server is not the one that can answer: the kernel runs elsewhere, or nobody of ours serves this address. */
function elsewhere({ code, status }: LoadError): boolean {
  return code === "array-gone" || (status === 404 && code === "error");
}

/**
 * Load the metadata, and show what is wrong with a button until it is here. Null when `signal` ended it. `other`: the way that is
 * taken where the page's server cannot answer.
 */
async function patiently(
  el: HTMLElement,
  first: Loader,
  series: string,
  label: string,
  signal: AbortSignal,
  other?: () => Loader,
): Promise<(Described & { loader: Loader }) | null> {
  let loader = first;
  for (;;) {
    try {
      const found = await describe(loader, series, label);
      return signal.aborted ? null : { ...found, loader };
    } catch (error) {
      if (!(error instanceof LoadError)) throw error;
      if (signal.aborted) return null;
      if (other !== undefined && loader === first && elsewhere(error)) loader = other();
      else await say(el, error, signal, loader.transport.signIn);
    }
  }
}

function mount(el: HTMLElement, loader: Loader, store: Store<ViewState>, { meta, label }: Described, extra: object): Viewer {
  const place = document.createElement("div");
  el.replaceChildren(place);
  const openPlanes = async (host: HTMLElement, over: SeriesMeta | null): Promise<() => void> =>
    (await lazily("mpr")).openPlanes(host, { loader, meta, label: over, store });
  return mountViewer(place, { loader, store, meta, label, openPlanes, ...extra });
}

/** Ask for the first slice beside the series' description, not after it: the viewer finds it in the cache, or on its way. */
function askAhead(model: Model, loader: Loader, signal: AbortSignal): void {
  const version = String(model.get("ahead") ?? "");
  if (version === "") return;
  const [series, plane] = [String(model.get("series")), String(model.get("plane"))];
  const [index, frame] = [Number(model.get("index")), Number(model.get("frame"))];
  loader.slice({ series, version, plane, index, level: 0, frame }, signal).catch(() => undefined); // the viewer says what is wrong
}

function follow(model: Model, meta: SeriesMeta, store: Store<ViewState>): () => void {
  const group = String(model.get("group") ?? "");
  if (group === "") return () => undefined;
  return link(group, { meta, store, linked: () => (model.get("linked") as Linked[] | undefined) ?? [] });
}

/** A series in any element, without a kernel; returns how to take it away. */
export async function openSeries(el: HTMLElement, series: string, fills = true): Promise<() => void> {
  const ended = new AbortController();
  const loader = loaderFor();
  let found = await patiently(el, loader, series, "", ended.signal);
  if (found === null) return () => undefined;
  const { kind, source_series: source, dataset } = found.meta;
  if (kind === "segmentation" && source !== null) {
    // a segmentation is looked at on the image that it was made on
    found = await patiently(el, loader, `${dataset}/${source}`, series, ended.signal);
    if (found === null) return () => undefined;
  }
  if (found.meta.space === "slide") return (await lazily("slide")).openSlide(el, { loader, meta: found.meta });
  const store = createStore(initialState(found.meta));
  const viewer = mount(el, loader, store, found, { fills });
  const [first] = found.label === null ? found.meta.segmentations : [];
  // labels of the same dataset are laid over the image; the image does not wait for them
  if (first !== undefined)
    loader.meta(`${dataset}/${first}`, ended.signal).then(
      (label) => {
        viewer.setLabel(label);
      },
      () => undefined,
    );
  return () => {
    ended.abort();
    viewer.dispose();
  };
}

export default {
  async render({ model, el, transport }: { model: Model; el: HTMLElement; transport?: "messages" }): Promise<() => void> {
    const ended = new AbortController();
    const first = loaderFor(transport === "messages" ? model : undefined);
    askAhead(model, first, ended.signal);
    const other = transport === "messages" ? undefined : (): Loader => loaderFor(model);
    const found = await patiently(el, first, String(model.get("series")), String(model.get("label")), ended.signal, other);
    if (found === null) return () => undefined;
    const { meta, loader } = found;
    if (meta.space === "slide") return (await lazily("slide")).openSlide(el, { loader, meta });
    const store = createStore(corrected(meta, { ...initialState(meta, String(model.get("label"))), ...fromModel(model) }));
    const unbind = bind(model, store, meta);
    const leave = follow(model, meta, store);
    const viewer = mount(el, loader, store, found, hearFiles(model));
    const relabel = async (): Promise<void> => {
      const label = String(model.get("label"));
      viewer.setLabel(label === "" ? null : await loader.meta(label, ended.signal));
    };
    const onLabel = (): void => {
      relabel().catch((error: unknown) => {
        if (!ended.signal.aborted) viewer.say(error instanceof Error ? error.message : String(error));
      });
    };
    const onMessage = (content: unknown): void => {
      const { kind, what, name, problem } = content as { kind?: string; what?: string; name?: string; problem?: string };
      if (kind === "saved")
        viewer.say(
          `${what === "segmentation" ? "The segmentation was" : "The marks were"} saved${name === undefined ? "" : ` as ${name}`}.`,
        );
      else if (kind === "failed") viewer.say((JSON.parse(problem ?? "{}") as { detail?: string }).detail ?? "That could not be done.");
    };
    model.on("change:label", onLabel);
    model.on("msg:custom", onMessage);
    return () => {
      ended.abort();
      unbind();
      leave();
      model.off("change:label", onLabel);
      model.off("msg:custom", onMessage);
      viewer.dispose();
    };
  },
};
