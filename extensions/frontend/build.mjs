// Builds the browser code: one hashed bundle for each file directly in widget/src and in widget/src/lazy (loaded when they are first
// needed), and the JupyterLab extension.
//
// Bundles go to extensions/cohortlab/viewer/static/ with a manifest.json (name -> hashed file); the extension goes to
// labextension/dist/. Both are git-ignored and packed into the wheel. Names hold the content's hash, so that a browser
// may keep a file for ever and never runs an old one.
import { createHash } from "node:crypto";
import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { dirname, join, parse } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const staticFolder = join(here, "..", "cohortlab", "viewer", "static");
const labFolder = join(here, "labextension", "dist");

/** @type {import("esbuild").BuildOptions} */
const common = {
  absWorkingDir: here,
  bundle: true,
  minify: true,
  target: "es2022",
  charset: "utf8",
  legalComments: "inline",
  loader: { ".css": "text", ".svg": "text" },
  logLevel: "warning",
  write: false,
};

/** Compile one entry to text. */
async function compile(options) {
  const result = await build({ ...common, ...options });
  return result.outputFiles[0].text;
}

function hashOf(text) {
  return createHash("sha256").update(text).digest("hex").slice(0, 12);
}

async function emptyFolder(folder) {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
}

/** Compile the files directly in `folder`; gives name -> hashed file and writes them. */
async function bundlesIn(folder, define) {
  const sources = (await readdir(join(here, folder), { withFileTypes: true }))
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts") && !entry.name.endsWith(".d.ts"))
    .map((entry) => entry.name)
    .sort();
  const made = {};
  for (const source of sources) {
    const text = await compile({ entryPoints: [`${folder}/${source}`], format: "esm", define });
    const name = parse(source).name;
    const file = `${name}.${hashOf(text)}.js`;
    await writeFile(join(staticFolder, file), text);
    made[name] = file;
  }
  return made;
}

async function buildBundles() {
  await mkdir(staticFolder, { recursive: true });
  const lazy = await bundlesIn("widget/src/lazy", {});
  const manifest = { ...lazy, ...(await bundlesIn("widget/src", { LAZY_BUNDLES: JSON.stringify(lazy) })) };
  await writeFile(join(staticFolder, "manifest.json"), `${JSON.stringify(manifest, null, 2)}\n`);
  // what no manifest names any more goes last, so that a server that runs meanwhile never misses a file
  const kept = new Set([...Object.values(manifest), "manifest.json"]);
  for (const file of await readdir(staticFolder)) if (!kept.has(file)) await rm(join(staticFolder, file), { recursive: true });
  return manifest;
}

async function buildLabextension() {
  const info = JSON.parse(await readFile(join(here, "labextension", "package.json"), "utf8"));
  // JupyterLab loads a prebuilt extension as a module federation container: a script that leaves an object with
  // `init(sharedScope)` and `get(module)` on `window._JUPYTERLAB[name]`. container.ts writes that object itself.
  const text = await compile({ entryPoints: ["labextension/src/container.ts"], format: "iife" });
  const file = `remoteEntry.${hashOf(text)}.js`;
  await emptyFolder(labFolder);
  await mkdir(join(labFolder, "static"));
  await writeFile(join(labFolder, "static", file), text);
  const { name, version, description, license } = info;
  const jupyterlab = { extension: true, outputDir: "dist", _build: { load: `static/${file}`, extension: "./extension" } };
  await writeFile(join(labFolder, "package.json"), `${JSON.stringify({ name, version, description, license, jupyterlab }, null, 2)}\n`);
  return file;
}

const [manifest, remote] = [await buildBundles(), await buildLabextension()];
for (const file of Object.values(manifest)) console.log(`viewer/static/${file}`);
console.log(`labextension/dist/static/${remote}`);
