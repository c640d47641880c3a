"""The browser bundles: where they are, and the stub by which a widget loads one.

`npm run build` in extensions/frontend writes each bundle as ``static/<name>.<hash>.js`` and ``static/manifest.json``
(name -> file). A widget's ``_esm`` is only a stub: it imports the hashed bundle from the session's own server, under the
base path that the page names, so that a saved notebook holds no program and no other host is asked. Where that server has none (VS Code,
plain Jupyter) it asks the kernel by a message of the widget and tells the bundle so: ``transport`` is then ``messages``.
"""

import json
import re
from pathlib import Path

from cohortlab.errors import NotFoundError

STATIC_FOLDER = Path(__file__).parent / "static"
"""Where the bundles are, in a checkout as in an installed wheel."""

BUNDLE_FILE = re.compile(r"[a-z][a-z0-9-]*\.[0-9a-f]{12}\.js|manifest\.json")
"""The only file names that are served."""

_STUB = """\
const page = JSON.parse(document.getElementById("jupyter-config-data")?.textContent || "{}");
const base = page.baseUrl || document.body?.dataset.baseUrl;
const folder = base && new URL(base.replace(/\\/*$/, "/") + "cohortlab/static/", location.origin);
async function byServer() {
  try {
    return await import(new URL("__FILE__", folder).href);
  } catch (error) {
    const manifest = await (await fetch(new URL("manifest.json", folder), { cache: "no-store" })).json();
    if (manifest["__NAME__"] === "__FILE__") throw error;
    return import(new URL(manifest["__NAME__"], folder).href);
  }
}
function byKernel(model) {
  const id = Math.floor(Math.random() * 2 ** 31);
  const parts = [];
  return new Promise((done, fail) => {
    const late = setTimeout(() => fail(new Error("Cohortlab: neither this page's server nor the kernel has the viewer.")), __WAIT__);
    const heard = (message, buffers) => {
      if (message.kind !== "answer" || message.id !== id) return;
      parts[message.part] = buffers[0];
      if (parts.filter(Boolean).length < message.parts) return;
      clearTimeout(late);
      model.off("msg:custom", heard);
      const body = new Blob(parts).stream();
      const text = message.encoding ? body.pipeThrough(new DecompressionStream(message.encoding)) : body;
      const code = new Response(text, { headers: { "Content-Type": "text/javascript" } }).blob();
      code.then((blob) => import(URL.createObjectURL(blob))).then(done, fail);
    };
    model.on("msg:custom", heard);
    model.send({ kind: "get", id, path: "static/__FILE__" });
  });
}
export default async () => {
  try {
    if (folder) return (await byServer()).default;
  } catch {}
  const render = async (context) => (await byKernel(context.model)).default.render({ ...context, transport: "messages" });
  return { render };
};
"""
_WAIT_MS = 15_000  # until the browser gives a kernel up that does not send the bundle


def bundles() -> dict[str, str]:
    """The built bundles, name -> file name.

    Raises:
        NotFoundError: the browser code was not built.
    """
    try:
        found: dict[str, str] = json.loads((STATIC_FOLDER / "manifest.json").read_text("utf-8"))
    except FileNotFoundError:
        raise NotFoundError(
            "The viewer's browser code is not built.",
            hint="In a checkout run `make setup`; an installed wheel always holds it, so install it again.",
        ) from None
    return found


def stub_esm(bundle_name: str) -> str:
    """The ``_esm`` text of a widget whose front end is the bundle `bundle_name`.

    The bundle's default export is what anywidget takes: an object with `render` (and `initialize`).

    Raises:
        NotFoundError: there is no such bundle, or none was built.
    """
    found = bundles()
    if bundle_name not in found:
        raise NotFoundError(
            f"There is no browser bundle {bundle_name!r}; there are: {', '.join(sorted(found))}.",
            hint="Each file directly in extensions/frontend/widget/src is one; run `make setup` after adding it.",
        )
    return _STUB.replace("__FILE__", found[bundle_name]).replace("__NAME__", bundle_name).replace("__WAIT__", str(_WAIT_MS))
