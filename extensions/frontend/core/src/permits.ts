// Whether a dataset may still be seen. Slices are kept for ever, here and by the browser, so having one says nothing about that: only a
// series' description, which the server is asked for each time, does. It is asked for again while somebody looks, and never without
// that: a page left alone does not keep a session awake.
import { LoadError } from "./transport";

export interface Permits {
  /** Whether the server's last word on the dataset was no. */
  ended(dataset: string): boolean;
  /** Resolves when the server said yes lately, or cannot say; rejects with its words when it said no, or does not answer. */
  allowed(series: string): Promise<void>;
  /** What is found in the description of a series, which says yes; or the refusal in it. */
  told<T>(series: string, description: Promise<T>): Promise<T>;
  /** What `read` makes of an answer about the series, which may be a refusal. */
  heard<T>(series: string, read: () => T): T;
  onEnded(listener: (dataset: string, why: LoadError) => void): () => void;
  dispose(): void;
}

const FRESH = 10_000; // ms that the server's word is taken for

interface Word {
  at: number;
  /** Why not; null for yes. */
  why: LoadError | null;
}

/** `ask` rejects with a `LoadError` when the series may not be seen; `forget` drops what there is of a dataset. */
export function createPermits(
  ask: (series: string) => Promise<unknown>,
  forget: (dataset: string, why: LoadError) => void,
  now = Date.now,
): Permits {
  const words = new Map<string, Word>(); // by dataset
  const asking = new Map<string, Promise<unknown>>();
  const listeners = new Set<(dataset: string, why: LoadError) => void>();

  /** Whether `why` is a refusal, and the first one. */
  function ends(dataset: string, why: unknown): boolean {
    if (why instanceof LoadError && why.signedOut) {
      // what was allowed was so to who was signed in then
      for (const [name, word] of [...words]) if (word.why === null) words.delete(name);
    }
    if (!(why instanceof LoadError && why.refused)) return false;
    const before = words.get(dataset)?.why ?? null;
    words.set(dataset, { at: now(), why });
    if (before !== null) return false;
    forget(dataset, why);
    for (const listener of listeners) listener(dataset, why);
    return true;
  }

  async function told<T>(series: string, description: Promise<T>): Promise<T> {
    const [dataset = ""] = series.split("/");
    try {
      const found = await description;
      words.set(dataset, { at: now(), why: null });
      return found;
    } catch (error) {
      ends(dataset, error);
      throw error;
    }
  }

  return {
    told,
    ended: (dataset) => (words.get(dataset)?.why ?? null) !== null,
    async allowed(series) {
      const [dataset = ""] = series.split("/");
      const word = words.get(dataset);
      if (word !== undefined && now() - word.at < FRESH) {
        if (word.why !== null) throw word.why;
        return;
      }
      const under = asking.get(dataset) ?? told(series, ask(series)).finally(() => asking.delete(dataset));
      asking.set(dataset, under);
      try {
        await under;
      } catch (error) {
        // a series that is not there, or not whole, is no matter of who may see it
        if (!(error instanceof LoadError) || error.refused || error.passing || word?.why != null) throw error;
      }
    },
    heard(series, read) {
      try {
        return read();
      } catch (error) {
        const [dataset = ""] = series.split("/");
        // with the description's refusal the browser is told to forget what it keeps
        if (ends(dataset, error)) told(series, ask(series)).catch(() => undefined);
        throw error;
      }
    },
    onEnded(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    dispose() {
      listeners.clear();
    },
  };
}
