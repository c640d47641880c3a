// Brings the slices that the state asks for: what is cached at once, a coarse one first where the slice is large, then the
// exact one and its neighbours in the direction of scrolling. The latest wish wins; older ones are aborted.
import { lengthAlong, type Plane, type SeriesMeta, type Slice } from "./contract";
import { LoadError, type Loader, type SliceAddress } from "./loader";
import { indexInLevel } from "./placement";
import { planeOf, type Store, type ViewState } from "./state";

export interface Shown {
  image: Slice | null;
  /** The level of `image`; a coarse one stands in until level 0 is here. */
  level: number;
  label: Slice | null;
  loading: boolean;
  problem: string;
}

export interface Session {
  shown(): Shown;
  onChange(listener: () => void): void;
  /** Ask again, after a problem. */
  retry(): void;
  dispose(): void;
}

const COARSE_ABOVE = 2 ** 20; // voxels of a slice worth a coarse one first
const AHEAD = 6;
const BEHIND = 2;

/** Voxels of one slice across `plane` at a level. */
function sliceVoxels(plane: Plane, shape: readonly number[]): number {
  return lengthAlong(shape, plane.right.axis) * lengthAlong(shape, plane.down.axis);
}

/** The finest level whose slice is small, for a first look; null when level 0 itself is small. */
export function previewLevel(meta: SeriesMeta, plane: Plane): number | null {
  if (sliceVoxels(plane, meta.levels[0] ?? meta.shape) <= COARSE_ABOVE) return null;
  const level = meta.levels.findIndex((shape) => sliceVoxels(plane, shape) <= COARSE_ABOVE);
  return level > 0 ? level : meta.levels.length > 1 ? meta.levels.length - 1 : null;
}

export function createSession(loader: Loader, store: Store<ViewState>, meta: SeriesMeta, label: SeriesMeta | null): Session {
  let shown: Shown = { image: null, level: 0, label: null, loading: true, problem: "" };
  let current = new AbortController();
  let direction = 1;
  const listeners = new Set<() => void>();

  function show(next: Partial<Shown>): void {
    shown = { ...shown, ...next };
    for (const listener of listeners) listener();
  }

  function imageAt(state: ViewState, index: number, level: number): SliceAddress {
    const plane = planeOf(meta, state.plane);
    const shape = meta.levels[level] ?? meta.shape;
    return {
      series: state.series,
      version: meta.version,
      plane: state.plane,
      index: indexInLevel(index, plane.axis, meta.shape, shape),
      level,
      frame: state.frame,
    };
  }

  function labelAt(state: ViewState, index: number): SliceAddress | null {
    if (label === null) return null;
    return {
      series: state.label,
      version: label.version,
      plane: state.plane,
      index,
      level: 0,
      frame: 0,
      on: { series: state.series, version: meta.version },
    };
  }

  async function load(state: ViewState): Promise<void> {
    current.abort();
    current = new AbortController();
    const { signal } = current;
    const exact = imageAt(state, state.index, 0);
    const over = labelAt(state, state.index);
    const image = loader.cached(exact);
    const labels = over === null ? null : (loader.cached(over) ?? null);
    if (image !== undefined && (over === null || labels !== null)) {
      show({ image, level: 0, label: labels, loading: false, problem: "" });
    } else {
      show({ loading: true });
      try {
        await bring(state, exact, over, signal);
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof LoadError || error instanceof TypeError)) throw error;
        show({ image: null, label: null, loading: false, problem: error.message });
        return;
      }
    }
    if (!signal.aborted) loader.prefetch(neighbours(state));
  }

  async function bring(state: ViewState, exact: SliceAddress, over: SliceAddress | null, signal: AbortSignal): Promise<void> {
    const labels = over === null ? Promise.resolve(null) : loader.slice(over, signal);
    labels.catch(() => undefined); // awaited below, when the image is there
    const preview = previewLevel(meta, planeOf(meta, state.plane));
    if (preview !== null && loader.cached(exact) === undefined) {
      const coarse = await loader.slice(imageAt(state, state.index, preview), signal);
      show({ image: coarse, level: preview, label: null, problem: "" });
    }
    const [image, found] = await Promise.all([loader.slice(exact, signal), labels]);
    signal.throwIfAborted();
    show({ image, level: 0, label: found, loading: false, problem: "" });
  }

  function neighbours(state: ViewState): SliceAddress[] {
    const { count } = planeOf(meta, state.plane);
    const steps = [...Array(AHEAD).keys()].map((step) => (step + 1) * direction);
    steps.push(...[...Array(BEHIND).keys()].map((step) => -(step + 1) * direction));
    return steps
      .map((step) => state.index + step)
      .filter((index) => index >= 0 && index < count)
      .flatMap((index) => [imageAt(state, index, 0), labelAt(state, index)])
      .filter((address) => address !== null);
  }

  const unsubscribe = store.subscribe((state, before) => {
    if (state.plane === before.plane && state.index === before.index && state.frame === before.frame) return;
    if (state.plane !== before.plane) show({ image: null, label: null });
    else if (state.index !== before.index) direction = Math.sign(state.index - before.index);
    void load(state);
  });
  void load(store.get());

  return {
    shown: () => shown,
    onChange: (listener) => void listeners.add(listener),
    retry: () => void load(store.get()),
    dispose() {
      unsubscribe();
      current.abort();
      listeners.clear();
    },
  };
}
