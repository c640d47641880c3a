// Undo and redo: a line of what was done, of limited length.

export interface History<T> {
  /** Something was done; what had been undone is forgotten. */
  done(step: T): void;
  /** The step to take back, or undefined. */
  undo(): T | undefined;
  /** The step to do again, or undefined. */
  redo(): T | undefined;
  clear(): void;
  readonly canUndo: boolean;
  readonly canRedo: boolean;
}

export function createHistory<T>(limit = 200): History<T> {
  let past: T[] = [];
  let future: T[] = [];
  return {
    done(step) {
      past = [...past, step].slice(-limit);
      future = [];
    },
    undo() {
      const step = past.pop();
      if (step !== undefined) future.push(step);
      return step;
    },
    redo() {
      const step = future.pop();
      if (step !== undefined) past.push(step);
      return step;
    },
    clear() {
      past = [];
      future = [];
    },
    get canUndo() {
      return past.length > 0;
    },
    get canRedo() {
      return future.length > 0;
    },
  };
}
