// One loader, and so one cache, for all viewers of a page; and the viewer's way to Python for what people make.
import { basePath, createLoader, httpTransport, messageTransport, xsrfToken, type BrushMessage, type Loader } from "@cohortlab/core";
import type { Model } from "./bind";

let shared: Loader | undefined;
const byModel = new WeakMap<Model, Loader>();

/** The page's loader; with a model, the one that asks its kernel. */
export function loaderFor(model?: Model): Loader {
  if (model === undefined) {
    const at = (path: string): string => new URL(`${basePath()}cohortlab/${path}`, location.href).href;
    shared ??= createLoader({ transport: httpTransport({ api: at("api/"), page: at("signed-in"), xsrf: () => xsrfToken() }) });
    return shared;
  }
  const known = byModel.get(model);
  if (known !== undefined) return known;
  const made = createLoader({ transport: messageTransport(model) });
  byModel.set(model, made);
  return made;
}

/** Painted masks and wishes to save go to the kernel as messages. */
export function hearFiles(model: Model): { onBrush(message: BrushMessage): void; onSave(what: "segmentation" | "annotations"): void } {
  return {
    onBrush({ mask, ...message }) {
      model.send({ kind: "brush", ...message }, undefined, [mask.buffer as ArrayBuffer]);
    },
    onSave(what) {
      model.send({ kind: "save", what });
    },
  };
}
