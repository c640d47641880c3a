// Fetches metadata and slices from the pixel gateway: cached, shared between askers, aborted when nobody waits any more.
import { parseSlice, type SeriesMeta, type Slice } from "./contract";
import { createCache } from "./lru";

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

export interface LoaderOptions {
  /** The server's base path as a URL, with a slash at its end. */
  base: string;
  xsrf?: () => string | undefined;
  fetch?: typeof globalThis.fetch;
  cacheBytes?: number;
}

export interface Loader {
  meta(series: string, signal?: AbortSignal): Promise<SeriesMeta>;
  /** The slice at once, when it is here. */
  cached(address: SliceAddress): Slice | undefined;
  slice(address: SliceAddress, signal?: AbortSignal): Promise<Slice>;
  /** Fetch these in order, one after the other; replaces what was still to be prefetched. */
  prefetch(addresses: readonly SliceAddress[]): void;
  dispose(): void;
}

/** The gateway answered with a problem, or did not answer. `message` is for the person at the screen. */
export class LoadError extends Error {
  constructor(
    message: string,
    readonly status: number,
    readonly code: string,
  ) {
    super(message);
  }
}

const DEFAULT_CACHE = 256 * 2 ** 20;

function seriesPath(series: string): string {
  return series.split("/").map(encodeURIComponent).join("/");
}

export function sliceUrl(base: string, address: SliceAddress): string {
  const query = new URLSearchParams({ plane: address.plane, index: String(address.index), level: String(address.level) });
  if (address.frame !== 0) query.set("t", String(address.frame));
  if (address.on !== undefined) query.set("on", address.on.series.split("/")[1] ?? "");
  query.set("v", address.on === undefined ? address.version : `${address.version}-${address.on.version}`);
  return `${base}cohortlab/api/series/${seriesPath(address.series)}/slice?${query.toString()}`;
}

export function createLoader(options: LoaderOptions): Loader {
  const { base, xsrf } = options;
  const ask = options.fetch ?? globalThis.fetch.bind(globalThis);
  const cache = createCache<Slice>(options.cacheBytes ?? DEFAULT_CACHE);
  const running = new Map<string, { promise: Promise<Slice>; waiting: number; abort: AbortController }>();
  let prefetching = new AbortController();

  async function get(url: string, signal: AbortSignal): Promise<Response> {
    const token = xsrf?.();
    const headers: Record<string, string> = token === undefined ? {} : { "X-XSRFToken": token };
    let response: Response;
    try {
      response = await ask(url, { credentials: "same-origin", headers, signal });
    } catch (error) {
      if (signal.aborted) throw error;
      throw new LoadError("The server does not answer. The image comes back when it does.", 0, "unavailable");
    }
    if (!response.ok) throw await problemOf(response);
    return response;
  }

  function shared(url: string): { promise: Promise<Slice>; waiting: number; abort: AbortController } {
    const known = running.get(url);
    if (known !== undefined) return known;
    const abort = new AbortController();
    const promise = (async () => {
      try {
        const response = await get(url, abort.signal);
        const slice = parseSlice(
          response.headers.get("X-Cohortlab-Type"),
          response.headers.get("X-Cohortlab-Shape"),
          await response.arrayBuffer(),
        );
        cache.set(url, slice, slice.values.byteLength);
        return slice;
      } finally {
        running.delete(url);
      }
    })();
    promise.catch(() => undefined); // each asker below gets the error; here it must only not count as unhandled
    const entry = { promise, waiting: 0, abort };
    running.set(url, entry);
    return entry;
  }

  async function slice(address: SliceAddress, signal?: AbortSignal): Promise<Slice> {
    const url = sliceUrl(base, address);
    const found = cache.get(url);
    if (found !== undefined) return found;
    signal?.throwIfAborted();
    const entry = shared(url);
    entry.waiting += 1;
    let leave: () => void = () => undefined;
    const left = new Promise<never>((_, reject) => {
      leave = () => {
        reject(signal?.reason as Error);
      };
    });
    signal?.addEventListener("abort", leave);
    try {
      return await Promise.race([entry.promise, left]);
    } finally {
      signal?.removeEventListener("abort", leave);
      entry.waiting -= 1;
      if (entry.waiting === 0 && running.get(url) === entry) {
        running.delete(url);
        entry.abort.abort();
      }
    }
  }

  return {
    async meta(series, signal) {
      const response = await get(`${base}cohortlab/api/series/${seriesPath(series)}/meta`, signal ?? new AbortController().signal);
      return (await response.json()) as SeriesMeta;
    },
    cached: (address) => cache.get(sliceUrl(base, address)),
    slice,
    prefetch(addresses) {
      prefetching.abort();
      prefetching = new AbortController();
      const { signal } = prefetching;
      void (async () => {
        for (const address of addresses) {
          if (signal.aborted) return;
          try {
            await slice(address, signal);
          } catch (error) {
            if (signal.aborted || error instanceof LoadError) return; // who really needs the slice asks, and is told
            throw error;
          }
        }
      })();
    },
    dispose() {
      prefetching.abort();
      for (const entry of running.values()) entry.abort.abort();
      running.clear();
      cache.clear();
    },
  };
}

async function problemOf(response: Response): Promise<LoadError> {
  const isProblem = response.headers.get("Content-Type")?.startsWith("application/problem+json") ?? false;
  const problem = isProblem ? ((await response.json()) as { detail?: string; title?: string; code?: string }) : {};
  const expired = response.status === 403 && !isProblem;
  const words = expired ? "You are signed out, or may not see this image any more. Reload the page." : `The server answered ${String(response.status)}.`;
  return new LoadError(problem.detail ?? problem.title ?? words, response.status, problem.code ?? "error");
}
