// The gateway's routes over widget messages: for VS Code, plain Jupyter and kernels elsewhere, where no server serves pixels.
import { LoadError, type Answer, type Query, type Transport } from "./transport";

/** The part of anywidget's model that carries messages. */
export interface Messenger {
  send(content: object): void;
  on(event: "msg:custom", listener: (content: unknown, buffers: DataView[]) => void): void;
  off(event: "msg:custom", listener: (content: unknown, buffers: DataView[]) => void): void;
}

interface Part {
  kind: "answer";
  id: number;
  status: number;
  headers: Record<string, string>;
  parts: number;
  part: number;
  encoding?: string;
}

interface Waiting {
  buffers: Uint8Array[];
  come(answer: Answer): void;
  fail(error: Error): void;
}

export const SLOW =
  "Shown through the kernel, which is slower and waits while it computes. In a Cohortlab session images come from the server.";
const ENDED = "The kernel does not answer: it is busy or has ended. Run the cell again if it has.";
const PATIENCE = 20_000; // ms until a kernel counts as gone; a busy one answers late

async function inflated(bytes: Uint8Array<ArrayBuffer>): Promise<ArrayBuffer> {
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

function whole(buffers: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(buffers.reduce((sum, buffer) => sum + buffer.byteLength, 0));
  let at = 0;
  for (const buffer of buffers) {
    bytes.set(buffer, at);
    at += buffer.byteLength;
  }
  return bytes;
}

export function messageTransport(model: Messenger, patience = PATIENCE): Transport & { dispose(): void } {
  const waiting = new Map<number, Waiting>();
  let last = 0;

  const hear = (content: unknown, buffers: DataView[]): void => {
    const part = content as Part;
    const asker = part.kind === "answer" ? waiting.get(part.id) : undefined;
    if (asker === undefined) return;
    asker.buffers.push(...buffers.map((view) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength)));
    if (part.part + 1 < part.parts) return;
    const headers = new Map(Object.entries(part.headers).map(([name, value]) => [name.toLowerCase(), value]));
    const bytes = whole(asker.buffers);
    const done = (body: ArrayBuffer): void => {
      asker.come({ status: part.status, header: (name) => headers.get(name.toLowerCase()) ?? null, body });
    };
    if (part.encoding === "gzip")
      inflated(bytes).then(done, () => {
        asker.fail(new LoadError("The kernel sent a damaged answer.", 0, "error"));
      });
    else done(bytes.buffer);
  };
  model.on("msg:custom", hear);

  return {
    hint: SLOW,
    address: () => null,
    get(path: string, query: Query, signal: AbortSignal): Promise<Answer> {
      const id = (last += 1);
      return new Promise<Answer>((resolve, reject) => {
        const timer = setTimeout(() => {
          settle(() => {
            reject(new LoadError(ENDED, 0, "unavailable"));
          });
        }, patience);
        const leave = (): void => {
          model.send({ kind: "cancel", id });
          settle(() => {
            reject(signal.reason as Error);
          });
        };
        const settle = (how: () => void): void => {
          clearTimeout(timer);
          signal.removeEventListener("abort", leave);
          waiting.delete(id);
          how();
        };
        if (signal.aborted) {
          settle(() => {
            reject(signal.reason as Error);
          });
          return;
        }
        signal.addEventListener("abort", leave);
        waiting.set(id, {
          buffers: [],
          come: (answer) => {
            settle(() => {
              resolve(answer);
            });
          },
          fail: (error) => {
            settle(() => {
              reject(error);
            });
          },
        });
        model.send({ kind: "get", id, path, query, headers: {} });
      });
    },
    dispose() {
      model.off("msg:custom", hear);
      for (const asker of [...waiting.values()]) asker.fail(new LoadError(ENDED, 0, "unavailable"));
    },
  };
}
