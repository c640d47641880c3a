// Whole-slide images, with OpenSeadragon over the gateway's tiles: each tile is a region of one level, as WebP.
import OpenSeadragon from "openseadragon";
import { CAVEAT, checked, DISPLAY, heading, type Loader, type SeriesMeta } from "@cohortlab/core";
import { levelsOf, regionOf, rulerLength } from "../slide/levels";
import style from "../slide/slide.css";

const LEAST_TILE = 256;

export interface SlideOptions {
  loader: Loader;
  meta: SeriesMeta;
}

function tileSource({ loader, meta }: SlideOptions): OpenSeadragon.TileSource {
  const levels = levelsOf(meta);
  const full = levels.at(-1) ?? { rows: 1, columns: 1 };
  const tile = Math.max(LEAST_TILE, meta.tiles?.rows ?? LEAST_TILE);
  const plane = meta.planes[0]?.name ?? "image";
  const path = `series/${encodeURIComponent(meta.dataset)}/${encodeURIComponent(meta.series)}/slice`;
  const running = new WeakMap<object, AbortController>();
  const source = new OpenSeadragon.TileSource({
    width: full.columns,
    height: full.rows,
    tileSize: tile,
    minLevel: 0,
    maxLevel: levels.length - 1,
  });
  const query = (level: number, x: number, y: number): Record<string, string> => ({
    plane,
    index: "0",
    level: String(levels.length - 1 - level),
    region: regionOf(levels, tile, level, x, y).join(","),
    format: "webp",
    v: meta.version,
  });
  return Object.assign(source, {
    getLevelScale: (level: number) => (levels[level]?.columns ?? 1) / full.columns,
    getNumTiles: (level: number) =>
      new OpenSeadragon.Point(Math.ceil((levels[level]?.columns ?? 1) / tile), Math.ceil((levels[level]?.rows ?? 1) / tile)),
    getTileUrl: (level: number, x: number, y: number) => `${path}?${new URLSearchParams(query(level, x, y)).toString()}`,
    downloadTileStart(job: OpenSeadragon.ImageJob) {
      const abort = new AbortController();
      running.set(job, abort);
      const asked = Object.fromEntries(new URLSearchParams(job.src.split("?")[1]));
      loader
        .allowed(`${meta.dataset}/${meta.series}`)
        .then(() => loader.transport.get(path, asked, abort.signal))
        .then((answer) => {
          const { body } = checked(answer);
          job.finish(new Blob([body], { type: "image/webp" }), undefined as never, "rasterBlob");
        })
        .catch((error: unknown) => {
          if (!abort.signal.aborted) job.fail(error instanceof Error ? error.message : String(error), undefined as never);
        });
    },
    downloadTileAbort(job: OpenSeadragon.ImageJob) {
      running.get(job)?.abort();
    },
  });
}

/** Show a slide in `el`; returns how to take it away. */
export function openSlide(el: HTMLElement, options: SlideOptions): () => void {
  const { meta } = options;
  el.setAttribute("data-lm-suppress-shortcuts", "true");
  const shadow = el.shadowRoot ?? el.attachShadow({ mode: "open" });
  const root = document.createElement("div");
  root.className = "slide";
  root.setAttribute("role", "group");
  root.setAttribute("aria-label", `Slide, ${heading(meta)}`);
  root.innerHTML =
    '<div class="bar"><b></b><span class="keys">Wheel or + − zoom · drag or arrows move · 0 fits · R turns · F mirrors</span></div>' +
    '<div class="stage" tabindex="0"></div><div class="ruler" aria-hidden="true"><span></span></div><p class="wrong" role="alert" hidden></p>' +
    '<div class="foot"><span class="status"></span><span class="caveat"><strong></strong> <small></small></span></div>';
  const part = (name: string): HTMLElement => root.querySelector<HTMLElement>(name) ?? root;
  part("b").textContent = heading(meta);
  part("strong").textContent = CAVEAT;
  part("small").textContent = DISPLAY;
  const sheet = document.createElement("style");
  sheet.textContent = style;
  shadow.replaceChildren(sheet, root);
  const viewer = new OpenSeadragon.Viewer({
    element: part(".stage"),
    tileSources: [tileSource(options)],
    showNavigationControl: false,
    showNavigator: true,
    navigatorPosition: "BOTTOM_RIGHT",
    drawer: ["canvas"],
    animationTime: 0.4,
    maxZoomPixelRatio: 4,
    crossOriginPolicy: false,
    // no picture of OpenSeadragon's own buttons is ever fetched
    prefixUrl: "",
  } as OpenSeadragon.Options);
  const spacing = meta.planes[0]?.right.spacing ?? 0;
  const full = levelsOf(meta).at(-1)?.columns ?? 1;
  const update = (): void => {
    const zoom = viewer.viewport.viewportToImageZoom(viewer.viewport.getZoom());
    const perPixel = (spacing * 1000) / zoom;
    const length = rulerLength(perPixel);
    part(".ruler").style.width = `${String(length / perPixel)}px`;
    part(".ruler span").textContent = length >= 1000 ? `${String(length / 1000)} mm` : `${String(length)} µm`;
    options.loader.allowed(`${meta.dataset}/${meta.series}`).catch(() => undefined); // `onEnded` says it
    part(".status").textContent = `${(zoom * 100).toPrecision(3)} % · ${String(full)} pixels wide`;
  };
  viewer.addHandler("update-viewport", update);
  viewer.addHandler("open", () => {
    root.dataset["shown"] = "slide";
  });
  viewer.addHandler("tile-load-failed", (event) => {
    part(".wrong").hidden = false;
    part(".wrong").textContent = event.message;
  });
  viewer.addHandler("tile-loaded", () => {
    part(".wrong").hidden = true;
  });
  const unheard = options.loader.onEnded((dataset, why) => {
    if (dataset !== meta.dataset) return;
    viewer.close(); // with the tiles that it keeps
    delete root.dataset["shown"];
    part(".wrong").hidden = false;
    part(".wrong").textContent = why.message;
  });
  return () => {
    unheard();
    viewer.destroy();
    shadow.replaceChildren();
  };
}
