// A cache of limited bytes that forgets what was not used for longest.

export interface Cache<T> {
  get(key: string): T | undefined;
  has(key: string): boolean;
  set(key: string, value: T, bytes: number): void;
  /** Forget all keys that `which` names. */
  drop(which: (key: string) => boolean): void;
  clear(): void;
  readonly bytes: number;
}

export function createCache<T>(limit: number): Cache<T> {
  const entries = new Map<string, { value: T; bytes: number }>(); // in the order of use
  let total = 0;
  const remove = (key: string): void => {
    total -= entries.get(key)?.bytes ?? 0;
    entries.delete(key);
  };
  return {
    get(key) {
      const found = entries.get(key);
      if (found === undefined) return undefined;
      entries.delete(key);
      entries.set(key, found);
      return found.value;
    },
    has: (key) => entries.has(key),
    set(key, value, bytes) {
      remove(key);
      entries.set(key, { value, bytes });
      total += bytes;
      for (const oldest of entries.keys()) {
        if (total <= limit || oldest === key) break;
        remove(oldest);
      }
    },
    drop(which) {
      for (const key of [...entries.keys()].filter(which)) remove(key);
    },
    clear() {
      entries.clear();
      total = 0;
    },
    get bytes() {
      return total;
    },
  };
}
