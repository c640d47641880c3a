// Brings metadata, slices and coarse volumes from the pixel gateway: cached, shared between askers, aborted when nobody waits. What may
// not be seen any more is forgotten.
import { parseSlice, parseVolume, type SeriesMeta, type Slice, type Volume } from "./contract";
import { createCache } from "./lru";
import { createPermits } from "./permits";
import { checked, type Answer, type LoadError, type Query, type Transport } from "./transport";

/** Which slice: `series` is "dataset/series", `index` counts in the level's own voxels. `on` lays a segmentation on an image. */
export interface SliceAddress {
  series: string;
  version: string;
  plane: string;
  index: number;
  level: number;
  frame: number;
  on?: { series: string; version: string };
}

export interface VolumeAddress {
  series: string;
  version: string;
  level: number;
  frame: number;
}

export interface LoaderOptions {
  transport: Transport;
  cacheBytes?: number;
}

export interface Loader {
  readonly transport: Transport;
  meta(series: string, signal?: AbortSignal): Promise<SeriesMeta>;
  /** The slice at once, when it is here. */
  cached(address: SliceAddress): Slice | undefined;
  slice(address: SliceAddress, signal?: AbortSignal): Promise<Slice>;
  volume(address: VolumeAddress, signal?: AbortSignal): Promise<Volume>;
  /** Fetch these, the first first; replaces what this asker still wanted to have prefetched. */
  prefetch(addresses: readonly SliceAddress[], asker?: object): void;
  /**
   * Resolves when the server said, lately, that the series may be seen; rejects with its words when it may not. Slices keep for ever in
   * this cache and in the browser's: who shows one from there asks this beside it.
   */
  allowed(series: string): Promise<void>;
  /** Told when a dataset may not be seen any more. All that is kept of it here is gone by then. Returns how to stop listening. */
  onEnded(listener: (dataset: string, why: LoadError) => void): () => void;
  /** An address for an `<img>`; revoke it with `URL.revokeObjectURL` when it is a blob's. */
  picture(path: string, query: Query, signal: AbortSignal): Promise<string>;
  dispose(): void;
}

const DEFAULT_CACHE = 384 * 2 ** 20;
const AT_ONCE = 3; // prefetches that are under way: hides the line's delay without crowding out who waits

export function seriesPath(series: string): string {
  return `series/${series.split("/").map(encodeURIComponent).join("/")}`;
}

function sliceQuery(address: SliceAddress): Query {
  const { plane, index, level, frame, on, version } = address;
  const [dataset = "", id = ""] = on?.series.split("/") ?? [];
  return {
    plane,
    index: String(index),
    level: String(level),
    ...(frame === 0 ? {} : { t: String(frame) }),
    ...(on === undefined ? {} : { on: dataset === address.series.split("/")[0] ? id : `${dataset}/${id}` }),
    v: on === undefined ? version : `${version}-${on.version}`,
  };
}

function volumeQuery({ level, frame, version }: VolumeAddress): Query {
  return { level: String(level), ...(frame === 0 ? {} : { t: String(frame) }), v: version };
}

/** What a description may leave out. */
const NOTHING_SAID = {
  dtype: "",
  affine: null,
  spacing: [],
  samples: [],
  suv: null,
  space: "patient",
  tiles: null,
  segments: [],
  segmentations: [],
  frame: null,
} as const;

/** Dataset and series of a path, or of a key that begins with one. */
function seriesOf(path: string): readonly [string, string] {
  const [, dataset = "", series = ""] = path.split("/");
  return [decodeURIComponent(dataset), decodeURIComponent(series)];
}

interface Running {
  promise: Promise<Slice | Volume>;
  waiting: number;
  abort: AbortController;
}

export function createLoader({ transport, cacheBytes }: LoaderOptions): Loader {
  const cache = createCache<Slice | Volume>(cacheBytes ?? DEFAULT_CACHE);
  const running = new Map<string, Running>();
  const prefetching = new Map<object, AbortController>();

  const permits = createPermits((series) => describe(series, new AbortController().signal), forget);

  const keyOf = (path: string, query: Query): string => `${path}?${JSON.stringify(query)}`;

  async function describe(series: string, signal: AbortSignal): Promise<SeriesMeta> {
    const answer = checked(await transport.get(`${seriesPath(series)}/meta`, {}, signal));
    return { ...NOTHING_SAID, ...(JSON.parse(new TextDecoder().decode(answer.body)) as SeriesMeta) };
  }

  /** Nothing of the dataset stays here, nor comes. */
  function forget(dataset: string, why: LoadError): void {
    const belongs = (key: string): boolean => seriesOf(key)[0] === dataset;
    cache.drop(belongs);
    for (const [key, { abort }] of [...running].filter(([key]) => belongs(key))) {
      running.delete(key);
      abort.abort(why); // who waits for it is told
    }
  }

  function begun<T extends Slice | Volume>(key: string, path: string, query: Query, parse: (answer: Answer) => T): Running {
    const known = running.get(key);
    if (known !== undefined) return known;
    const abort = new AbortController();
    const promise = (async () => {
      try {
        const [dataset, series] = seriesOf(path);
        // the browser keeps what was seen: where the server said no, it is asked before that is taken
        if (permits.ended(dataset)) await permits.allowed(`${dataset}/${series}`);
        const answer = await transport.get(path, query, abort.signal);
        abort.signal.throwIfAborted();
        const found = permits.heard(`${dataset}/${series}`, () => parse(checked(answer)));
        cache.set(key, found, found.values.byteLength);
        return found;
      } finally {
        if (running.get(key)?.abort === abort) running.delete(key);
      }
    })();
    promise.catch(() => undefined); // each asker below gets the error; here it must only not count as unhandled
    const entry = { promise, waiting: 0, abort };
    running.set(key, entry);
    return entry;
  }

  async function shared<T extends Slice | Volume>(
    path: string,
    query: Query,
    parse: (answer: Answer) => T,
    signal?: AbortSignal,
  ): Promise<T> {
    const key = keyOf(path, query);
    const found = cache.get(key);
    if (found !== undefined) return found as T;
    signal?.throwIfAborted();
    const entry = begun(key, path, query, parse);
    entry.waiting += 1;
    let leave: () => void = () => undefined;
    const left = new Promise<never>((_, reject) => {
      leave = () => {
        reject(signal?.reason as Error);
      };
    });
    signal?.addEventListener("abort", leave);
    try {
      return (await Promise.race([entry.promise, left])) as T;
    } finally {
      signal?.removeEventListener("abort", leave);
      entry.waiting -= 1;
      if (entry.waiting === 0 && running.get(key) === entry) {
        running.delete(key);
        entry.abort.abort();
      }
    }
  }

  const pixels =
    <T>(parse: (type: string | null, shape: string | null, body: ArrayBuffer) => T) =>
    (answer: Answer): T =>
      parse(answer.header("x-cohortlab-type"), answer.header("x-cohortlab-shape"), answer.body);

  const slice = (address: SliceAddress, signal?: AbortSignal): Promise<Slice> =>
    shared(`${seriesPath(address.series)}/slice`, sliceQuery(address), pixels(parseSlice), signal);

  return {
    transport,
    async meta(series, signal) {
      return permits.told(series, describe(series, signal ?? new AbortController().signal));
    },
    allowed: (series) => permits.allowed(series),
    onEnded: (listener) => permits.onEnded(listener),
    cached: (address) => cache.get(keyOf(`${seriesPath(address.series)}/slice`, sliceQuery(address))) as Slice | undefined,
    slice,
    volume: (address, signal) => shared(`${seriesPath(address.series)}/volume`, volumeQuery(address), pixels(parseVolume), signal),
    prefetch(addresses, asker = cache) {
      prefetching.get(asker)?.abort();
      prefetching.delete(asker);
      if (addresses.length === 0) return;
      const abort = new AbortController();
      prefetching.set(asker, abort);
      const left = [...addresses];
      const run = async (): Promise<void> => {
        for (let next = left.shift(); next !== undefined && !abort.signal.aborted; next = left.shift()) {
          try {
            await slice(next, abort.signal);
          } catch {
            return; // who really needs the slice asks for it, and is told what is wrong
          }
        }
      };
      for (let worker = 0; worker < AT_ONCE; worker += 1) void run();
    },
    async picture(path, query, signal) {
      const [dataset, series] = seriesOf(path);
      await permits.allowed(`${dataset}/${series}`);
      signal.throwIfAborted();
      const direct = transport.address(path, query);
      if (direct !== null) return direct;
      const reply = await transport.get(path, query, signal);
      const answer = permits.heard(`${dataset}/${series}`, () => checked(reply));
      return URL.createObjectURL(new Blob([answer.body], { type: answer.header("content-type") ?? "image/webp" }));
    },
    dispose() {
      for (const abort of prefetching.values()) abort.abort();
      prefetching.clear();
      for (const entry of running.values()) entry.abort.abort();
      running.clear();
      cache.clear();
      permits.dispose();
    },
  };
}
