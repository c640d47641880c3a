"""The browser bundles: where they are, and the stub by which a widget loads one.

`npm run build` in extensions/frontend writes each bundle as ``static/<name>.<hash>.js`` and ``static/manifest.json``
(name -> file). A widget's ``_esm`` is only a stub: it imports the hashed bundle from the session's own server, under the
base path that the page names, so that a saved notebook holds no program and no other host is asked.
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
if (!base) throw new Error("Cohortlab needs a page of a Jupyter server: this page names no base path.");
const folder = new URL(base.replace(/\\/*$/, "/") + "cohortlab/static/", location.origin);
async function load() {
  try {
    return await import(new URL("__FILE__", folder).href);
  } catch (error) {
    const manifest = await (await fetch(new URL("manifest.json", folder), { cache: "no-store" })).json();
    if (manifest["__NAME__"] === "__FILE__") throw error;
    return import(new URL(manifest["__NAME__"], folder).href);
  }
}
export default async () => (await load()).default;
"""


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
    return _STUB.replace("__FILE__", found[bundle_name]).replace("__NAME__", bundle_name)
