// Brings the pictures that the state asks for: the exact slice; where that is late, a coarse one until it is here; when it is
// drawn, a coarse whole volume, from which any slice has a stand-in at once, and the neighbours in the direction of scrolling. The
// latest wish wins; older ones are aborted.
import { lengthAlong, type Plane, type SeriesMeta, type Slice, type Volume } from "./contract";
import type { Loader, SliceAddress } from "./loader";
import { indexInLevel, levelFactor } from "./placement";
import { frameCount, planeOf, type Store, type ViewState } from "./state";
import { LoadError } from "./transport";
import { comparable } from "./values";

export interface Shown {
  image: Slice | null;
  /** Whether `image` is the slice that was asked for, in the detail that the screen can show; else a coarse one stands in. */
  exact: boolean;
  level: number;
  label: Slice | null;
  loading: boolean;
  problem: string;
  /** Whether the problem is that the server does not know (any more) who asks. */
  signedOut: boolean;
  /** Whether the viewer asks again by itself. */
  recovering: boolean;
}

export interface Session {
  shown(): Shown;
  /** The voxels of level 0 that one screen pixel covers: a coarser level is enough where they are many. */
  detail(voxelsPerPixel: number): void;
  /** The segmentation over the image; null for none. */
  setLabel(label: SeriesMeta | null): void;
  /** The exact slice in full detail, for measurements. */
  exactSlice(plane: string, index: number, frame: number, signal?: AbortSignal): Promise<Slice>;
  onChange(listener: () => void): void;
  /** Ask again, after a problem. */
  retry(): void;
  dispose(): void;
}

const COARSE_BYTES = 2 ** 20; // of a whole volume that is brought beside the slices
const LATE = 150; // ms without the exact slice until a coarse one is asked for
const DRAWN = 250; // ms after the first image until what nobody sees yet is asked for
const FINE = { signedOut: false, recovering: false } as const;
const AHEAD = 12;
const BEHIND = 4;
const FIRST_PAUSE = 700; // ms until the first retry by itself; doubled each time
const LONGEST_PAUSE = 10_000;
const BYTES: Record<string, number> = { int8: 1, uint8: 1, bool: 1, int16: 2, uint16: 2 };

/** The level whose whole volume is small enough to be kept beside the slices; null where there is none, or no volume. */
export function coarseLevel(meta: SeriesMeta): number | null {
  if (!meta.regular || meta.levels.length < 2 || !meta.dims.includes("z")) return null;
  const bytes = BYTES[meta.dtype] ?? 4;
  const level = meta.levels.findIndex(
    (shape, at) =>
      at > 0 && (["z", "y", "x"] as const).reduce((size, axis) => size * lengthAlong(shape, axis, meta.dims), bytes) <= COARSE_BYTES,
  );
  return level > 0 ? level : null;
}

/** The coarsest level that still has the slice itself, and a voxel for each screen pixel. */
export function levelFor(meta: SeriesMeta, plane: Plane, voxelsPerPixel: number): number {
  const along = (shape: readonly number[], axis: "z" | "y" | "x"): number => lengthAlong(shape, axis, meta.dims);
  let best = 0;
  meta.levels.forEach((shape, level) => {
    const factor = (axis: "z" | "y" | "x"): number => along(meta.shape, axis) / along(shape, axis);
    const sameStack = along(shape, plane.axis) === along(meta.shape, plane.axis);
    if (sameStack && Math.max(factor(plane.right.axis), factor(plane.down.axis)) <= voxelsPerPixel) best = level;
  });
  return best;
}

/** One slice of a coarse volume, in the array's order. */
export function sliceOf({ shape, samples, values }: Volume, axis: "z" | "y" | "x", index: number): Slice {
  const [depth, height, width] = shape;
  const [rows, columns] = axis === "z" ? [height, width] : axis === "y" ? [depth, width] : [depth, height];
  const cut = new (values.constructor as new (length: number) => typeof values)(rows * columns * samples);
  for (let row = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1) {
      const [z, y, x] = axis === "z" ? [index, row, column] : axis === "y" ? [row, index, column] : [row, column, index];
      const from = ((z * height + y) * width + x) * samples;
      for (let sample = 0; sample < samples; sample += 1) cut[(row * columns + column) * samples + sample] = values[from + sample] ?? 0;
    }
  }
  return { rows, columns, samples, values: cut };
}

export function createSession(
  loader: Loader,
  store: Store<ViewState>,
  meta: SeriesMeta,
  label: SeriesMeta | null,
  voxelsPerPixel = 1,
): Session {
  let shown: Shown = { image: null, exact: false, level: 0, label: null, loading: true, problem: "", ...FINE };
  let current = new AbortController();
  let direction = 1;
  let level = levelFor(meta, planeOf(meta, store.get().plane), voxelsPerPixel);
  let ratio = voxelsPerPixel;
  let over = label;
  let pause = FIRST_PAUSE;
  let timer: ReturnType<typeof setTimeout> | undefined; // until it is asked again
  let late: ReturnType<typeof setTimeout> | undefined;
  let rest: ReturnType<typeof setTimeout> | undefined; // until neighbours are asked for
  let drawn = false;
  let refused = false; // when it was asked last
  const series = `${meta.dataset}/${meta.series}`;
  const life = new AbortController();
  const coarse = new Map<number, Volume>(); // by frame
  const asked = new Set<number>();
  const made = new WeakMap<Slice, Slice>(); // comparable slices of stored ones, so that a texture is not uploaded twice
  const listeners = new Set<() => void>();

  function show(next: Partial<Shown>): void {
    shown = { ...shown, ...next };
    for (const listener of listeners) listener();
  }

  function imageAt(state: ViewState, index: number, wanted: number): SliceAddress {
    const plane = planeOf(meta, state.plane);
    const shape = meta.levels[wanted] ?? meta.shape;
    const at = indexInLevel(index, lengthAlong(meta.shape, plane.axis, meta.dims), lengthAlong(shape, plane.axis, meta.dims));
    return {
      series,
      version: meta.version,
      plane: plane.name,
      index: at,
      level: wanted,
      frame: state.frame,
    };
  }

  function labelAt(state: ViewState, index: number): SliceAddress | null {
    if (over === null) return null;
    const on = { series, version: meta.version };
    return { series: `${over.dataset}/${over.series}`, version: over.version, plane: state.plane, index, level, frame: 0, on };
  }

  function ready(state: ViewState, address: SliceAddress, slice: Slice): Slice {
    const known = made.get(slice);
    if (known !== undefined) return known;
    const fit = comparable(meta, planeOf(meta, state.plane), address.index, address.level, slice);
    made.set(slice, fit);
    return fit;
  }

  /** A slice from the coarse volume, when that is here. */
  function standIn(state: ViewState): Partial<Shown> {
    const volume = coarse.get(state.frame);
    if (volume === undefined) return {};
    const plane = planeOf(meta, state.plane);
    const at = coarseLevel(meta) ?? 0;
    const length = volume.shape[{ z: 0, y: 1, x: 2 }[plane.axis]] ?? 1;
    const index = indexInLevel(state.index, plane.count, length);
    const slice = comparable(meta, plane, index, at, sliceOf(volume, plane.axis, index));
    return { image: slice, exact: false, level: at, label: null };
  }

  /** Ask once a frame for the coarse whole volume; it shows only where the exact slice is not here yet. */
  function wantCoarse(state: ViewState): void {
    const at = coarseLevel(meta);
    if (at === null || asked.has(state.frame)) return;
    asked.add(state.frame);
    const { frame } = state;
    loader.volume({ series, version: meta.version, level: at, frame }, life.signal).then(
      (volume) => {
        coarse.set(frame, volume);
        const now = store.get();
        if (now.frame === frame && shown.loading && !shown.exact) show(standIn(now));
      },
      () => asked.delete(frame), // the exact slice says what is wrong
    );
  }

  /** The exact slice is late: a slice of the coarsest level stands in, unless the whole coarse volume is here. */
  async function hurry(state: ViewState, signal: AbortSignal): Promise<void> {
    wantCoarse(state);
    const last = meta.levels.length - 1;
    if (last <= level || coarse.has(state.frame)) return;
    const address = imageAt(state, state.index, last);
    const found = await loader.slice(address, signal);
    if (signal.aborted || !shown.loading || shown.exact || coarse.has(state.frame)) return;
    show({ image: ready(state, address, found), exact: false, level: last, label: null });
  }

  /** What nobody sees yet. */
  function goOn(state: ViewState, signal: AbortSignal): void {
    const ask = (): void => {
      if (signal.aborted) return;
      drawn = true;
      wantCoarse(state);
      loader.prefetch(neighbours(state), life);
    };
    if (drawn) ask();
    else rest = setTimeout(ask, DRAWN);
  }

  async function load(state: ViewState): Promise<void> {
    current.abort();
    for (const one of [timer, late, rest]) clearTimeout(one);
    current = new AbortController();
    const { signal } = current;
    const exact = imageAt(state, state.index, level);
    const above = labelAt(state, state.index);
    loader.allowed(series).catch(() => undefined); // that it may not be seen any more is heard by `onEnded`
    const image = loader.cached(exact);
    const labels = above === null ? null : (loader.cached(above) ?? null);
    if (image !== undefined && (above === null || labels !== null)) {
      show({ image: ready(state, exact, image), exact: true, level, label: labels, loading: false, problem: "", ...FINE });
    } else {
      show({ loading: true, exact: false, ...standIn(state) });
      const wanted = Promise.all([loader.slice(exact, signal), above === null ? null : loader.slice(above, signal)]);
      loader.prefetch([], life); // the neighbours of where we were: the line is for what is waited for, also where it is one of them
      late = setTimeout(() => {
        hurry(state, signal).catch(() => undefined); // the exact slice says what is wrong
      }, LATE);
      try {
        const [found, over] = await wanted;
        signal.throwIfAborted();
        clearTimeout(late);
        show({
          image: ready(state, exact, found),
          exact: true,
          level: exact.level,
          label: over,
          loading: false,
          problem: "",
          ...FINE,
        });
      } catch (error) {
        if (signal.aborted) return;
        clearTimeout(late);
        if (!(error instanceof LoadError || error instanceof TypeError)) throw error;
        fail(error);
        return;
      }
    }
    pause = FIRST_PAUSE;
    if (!signal.aborted) goOn(state, signal);
  }

  /** Say what is wrong; where the server only is not there, ask again after growing pauses. */
  function fail(error: LoadError | TypeError): void {
    const recovering = error instanceof LoadError && error.passing;
    const signedOut = error instanceof LoadError && error.signedOut;
    refused = error instanceof LoadError && error.refused;
    show({ image: null, label: null, exact: false, loading: false, problem: error.message, signedOut, recovering });
    if (!recovering) return;
    timer = setTimeout(() => void load(store.get()), pause);
    pause = Math.min(pause * 2, LONGEST_PAUSE);
  }

  function again(): void {
    if (!life.signal.aborted) void load(store.get());
  }

  function neighbours(state: ViewState): SliceAddress[] {
    const { count } = planeOf(meta, state.plane);
    const steps = [...Array(AHEAD).keys()].map((step) => (step + 1) * direction);
    steps.push(...[...Array(BEHIND).keys()].map((step) => -(step + 1) * direction));
    const along = steps
      .map((step) => (state.playing ? (state.index + step + count) % count : state.index + step))
      .filter((index) => index >= 0 && index < count)
      .flatMap((index) => [imageAt(state, index, level), labelAt(state, index)]);
    const frames = frameCount(meta);
    const next = frames > 1 ? [imageAt({ ...state, frame: (state.frame + 1) % frames }, state.index, level)] : [];
    return [...next, ...along].filter((address) => address !== null);
  }

  /** The dataset may not be seen any more: nothing of it stays here. */
  const unheard = loader.onEnded((dataset, why) => {
    if (dataset !== meta.dataset && dataset !== over?.dataset) return;
    current.abort();
    for (const one of [timer, late, rest]) clearTimeout(one);
    coarse.clear();
    asked.clear();
    fail(why);
  });
  const unsubscribe = store.subscribe((state, before) => {
    if (state.plane === before.plane && state.index === before.index && state.frame === before.frame) return;
    if (state.plane !== before.plane) {
      level = levelFor(meta, planeOf(meta, state.plane), ratio);
      show({ image: null, label: null, exact: false });
    } else if (state.index !== before.index) direction = Math.sign(state.index - before.index);
    void load(state);
  });
  void load(store.get());

  return {
    shown: () => shown,
    detail(voxelsPerPixel) {
      ratio = voxelsPerPixel;
      const wanted = levelFor(meta, planeOf(meta, store.get().plane), ratio);
      if (wanted === level) return;
      level = wanted;
      void load(store.get());
    },
    setLabel(next) {
      over = next;
      show({ label: null });
      void load(store.get());
    },
    async exactSlice(plane, index, frame, signal) {
      const state = { ...store.get(), plane, frame };
      const address = imageAt(state, index, 0);
      return ready(state, address, await loader.slice(address, signal));
    },
    onChange: (listener) => void listeners.add(listener),
    retry() {
      pause = FIRST_PAUSE;
      if (!refused) again();
      // a refusal is believed for some seconds, but not when a person asks
      else loader.meta(series, life.signal).then(again, again);
    },
    dispose() {
      unheard();
      unsubscribe();
      for (const one of [timer, late, rest]) clearTimeout(one);
      current.abort();
      life.abort();
      loader.prefetch([], life);
      listeners.clear();
    },
  };
}

/** Voxels of level 0 in one of `level`'s along the right side. */
export function shrink(meta: SeriesMeta, plane: Plane, level: number): number {
  const along = (shape: readonly number[]): number => lengthAlong(shape, plane.right.axis, meta.dims);
  return levelFactor(along(meta.shape), along(meta.levels[level] ?? meta.shape));
}
