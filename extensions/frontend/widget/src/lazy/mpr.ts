// Three planes with a linked crosshair: oblique, slabs (MIP, MinIP, mean), a second series in colours (PET over CT), labels.
import {
  checked,
  createPlanes,
  dragged,
  extentOf,
  leastWidth,
  onNextFrame,
  patientText,
  planeOf,
  renderer,
  straight,
  toPatient,
  toVoxel,
  voxelAt,
  volumeShape,
  type Loader,
  type Planes as Engine,
  type SeriesMeta,
  type Slab,
  type Store,
  type ViewState,
} from "@cohortlab/core";
import style from "../mpr/mpr.css";
import { createPanes, type Planes } from "../mpr/panes";
import { bring } from "../mpr/volumes";

export interface PlanesOptions {
  loader: Loader;
  meta: SeriesMeta;
  label: SeriesMeta | null;
  store: Store<ViewState>;
}

const SLAB_NAMES: readonly (readonly [Slab, string])[] = [
  ["slice", "Thin slice"],
  ["mip", "Maximum (MIP)"],
  ["minip", "Minimum (MinIP)"],
  ["mean", "Mean"],
];
const NO_PAN = { axial: [0, 0], coronal: [0, 0], sagittal: [0, 0] } as const;
const HOW =
  "Click moves the crosshair · circles turn the planes · wheel scrolls · right drag: window · Shift drag moves · Ctrl + wheel zooms";
const RESTS = 150; // ms without a movement
const MOVING = 0.5; // share of the pixels along each side
const NO_WEBGL = "Three planes need WebGL2, which this browser does not offer.";

/** Show the planes in `host`, which is inside the viewer; returns how to take them away. */
export function openPlanes(host: HTMLElement, options: PlanesOptions): () => void {
  const { loader, meta, store } = options;
  const { affine } = meta;
  const root = document.createElement("div");
  root.className = "mpr";
  root.innerHTML =
    '<canvas class="gl" aria-hidden="true"></canvas><div class="panel"><label>Slab<select class="slab"></select></label>' +
    '<label class="thick">Thickness<input type="range" min="1" max="100" step="1"><output></output></label>' +
    '<label>Over it<select class="over"><option value="">Nothing</option></select></label>' +
    '<label class="mix">Strength<input type="range" min="0" max="1" step="0.05"><output></output></label>' +
    '<div class="row"><button type="button" class="straight">Straighten</button></div><p class="where"></p><p class="how"></p>' +
    '<p role="alert"></p></div>';
  const sheet = document.createElement("style");
  sheet.textContent = style;
  host.append(sheet, root);
  const part = <T extends HTMLElement>(name: string): T => root.querySelector(name) as T;
  part(".how").textContent = HOW;
  const canvas = part<HTMLCanvasElement>("canvas");
  const alert = part(".panel [role=alert]");
  const engine = createPlanes(canvas);
  if (engine === null || affine === null) {
    alert.textContent = engine === null ? NO_WEBGL : "This series has no place in the patient.";
    return () => {
      root.remove();
    };
  }
  return run(engine, { ...options, meta: { ...meta, affine } }, { root, canvas, alert, part, sheet, loader, store });
}

interface Page {
  root: HTMLElement;
  canvas: HTMLCanvasElement;
  alert: HTMLElement;
  sheet: HTMLElement;
  part: <T extends HTMLElement>(name: string) => T;
  loader: Loader;
  store: Store<ViewState>;
}

type PlacedMeta = SeriesMeta & { affine: NonNullable<SeriesMeta["affine"]> };

function run(
  engine: Engine,
  { meta, label }: PlanesOptions & { meta: PlacedMeta },
  { root, canvas, alert, part, sheet, loader, store }: Page,
): () => void {
  const life = new AbortController();
  const { middle, diagonal } = extentOf(meta.affine, volumeShape(meta.dims.includes("z") ? meta.shape.slice(-3) : meta.shape));
  const state = store.get();
  const plane = planeOf(meta, state.plane);
  const first = toPatient(meta.affine, voxelAt(plane, state.index, { right: plane.right.count / 2, down: plane.down.count / 2 }));
  let planes: Planes = {
    frame: straight(first),
    zoom: 1,
    pan: NO_PAN,
    slab: "slice",
    thickness: 10,
    opacity: label === null ? 0.6 : state.opacity,
  };
  let overMeta: SeriesMeta | null = label;
  let windowStart = store.get().window;
  const draw = onNextFrame(render);
  // where a program draws WebGL, what moves is drawn with a part of the pixels, and sharp when it rests
  const slow = renderer() !== "card";
  let rest: ReturnType<typeof setTimeout> | undefined;
  function change(next: Partial<Planes>): void {
    planes = { ...planes, ...next };
    moved();
  }
  function moved(): void {
    loader.allowed(`${meta.dataset}/${meta.series}`).catch(() => undefined); // where it may not be seen any more, the viewer closes us
    clearTimeout(rest);
    rest = !slow
      ? undefined
      : setTimeout(() => {
          rest = undefined;
          draw.ask();
        }, RESTS);
    draw.ask();
  }
  const panes = createPanes({
    get: () => planes,
    set: change,
    focus: middle,
    pixelSize: () => pixelSize() * devicePixelRatio,
    step: Math.min(...meta.planes.map(({ spacing }) => spacing)),
    dragWindow(dx, dy, started) {
      if (started) windowStart = store.get().window;
      else store.set({ ...store.get(), window: dragged(windowStart, dx, dy, leastWidth(meta)) });
    },
  });
  part(".panel").before(...panes.elements);

  /** mm of a device pixel. */
  function pixelSize(): number {
    const box = panes.elements[0]?.getBoundingClientRect();
    return (diagonal * 0.62) / Math.max(1, Math.min(box?.width ?? 1, box?.height ?? 1) * devicePixelRatio) / planes.zoom;
  }

  function render(): void {
    const box = root.getBoundingClientRect();
    const places = Object.fromEntries(
      panes.elements.map((element) => {
        const { left, top, width, height } = element.getBoundingClientRect();
        return [
          element.dataset["view"],
          [left - box.left, top - box.top, width, height].map((value) => Math.round(value * devicePixelRatio)),
        ];
      }),
    ) as unknown as Parameters<Engine["draw"]>[0]["places"];
    const now = store.get();
    engine.draw(
      {
        frame: planes.frame, focus: middle, pixelSize: pixelSize(), pan: planes.pan, window: now.window, overWindow: overMeta?.window ?? [0.5, 1],
        inverted: (meta.photometric === "MONOCHROME1") !== now.invert, opacity: planes.opacity, slab: planes.slab, thickness: planes.thickness, places,
      }, // prettier-ignore
      Math.round(box.width * devicePixelRatio),
      Math.round(box.height * devicePixelRatio),
      rest === undefined ? 1 : MOVING,
    );
    root.dataset["drawn"] = rest === undefined ? "sharp" : "draft";
    panes.draw();
    part(".where").textContent = patientText(planes.frame.center);
    part<HTMLSelectElement>("select.slab").value = planes.slab;
    part(".thick").hidden = planes.slab === "slice";
    part<HTMLInputElement>(".thick input").value = String(planes.thickness);
    part<HTMLOutputElement>(".thick output").value = `${String(planes.thickness)} mm`;
    part(".mix").hidden = overMeta === null;
    part<HTMLInputElement>(".mix input").value = String(planes.opacity);
    part<HTMLOutputElement>(".mix output").value = `${String(Math.round(planes.opacity * 100))} %`;
  }

  const say = (error: unknown): void => {
    if (!life.signal.aborted) alert.textContent = error instanceof Error ? error.message : String(error);
  };

  let overAbort = new AbortController();
  async function layOver(next: SeriesMeta | null): Promise<void> {
    overAbort.abort();
    overAbort = new AbortController();
    overMeta = next;
    engine.setOver(null, false);
    draw.ask();
    if (next === null) return;
    const colors = next.segments.flatMap(({ number, color }) => (color === null ? [] : [[number, color] as const]));
    engine.setColors(new Map(colors), store.get().hidden);
    await bring(loader, next, engine.longest, overAbort.signal, (placed) => {
      engine.setOver(placed, next.kind === "segmentation");
      draw.ask();
    });
  }

  /** Series of the same dataset that share the patient's millimetres can be laid over. */
  async function offer(): Promise<void> {
    const select = part<HTMLSelectElement>("select.over");
    const answer = checked(await loader.transport.get("datasets", {}, life.signal));
    const { datasets } = JSON.parse(new TextDecoder().decode(answer.body)) as {
      datasets: { id: string; series?: { id: string; modality: string; description: string | null }[] }[];
    };
    for (const { id, modality, description } of datasets.find((one) => one.id === meta.dataset)?.series ?? []) {
      if (id !== meta.series) select.append(new Option(`${modality} ${description ?? id}`, id, false, id === overMeta?.series));
    }
    select.addEventListener("change", () => {
      void (async () => {
        alert.textContent = "";
        const chosen = select.value === "" ? null : await loader.meta(`${meta.dataset}/${select.value}`, life.signal);
        if (chosen !== null && (chosen.affine === null || chosen.frame === null || chosen.frame !== meta.frame)) {
          select.value = "";
          throw new Error("That series lies in another frame of reference: the two cannot be laid on each other.");
        }
        await layOver(chosen);
      })().catch(say);
    });
  }

  const slabs = part<HTMLSelectElement>("select.slab");
  slabs.append(...SLAB_NAMES.map(([value, text]) => new Option(text, value)));
  slabs.addEventListener("change", () => {
    change({ slab: slabs.value as Slab });
  });
  part(".thick input").addEventListener("input", (event) => {
    change({ thickness: Number((event.target as HTMLInputElement).value) });
  });
  part(".mix input").addEventListener("input", (event) => {
    change({ opacity: Number((event.target as HTMLInputElement).value) });
  });
  part(".straight").addEventListener("click", () => {
    change({ frame: straight(planes.frame.center), pan: NO_PAN, zoom: 1 });
  });
  const unsubscribe = store.subscribe(moved);
  const size = new ResizeObserver(draw.ask);
  size.observe(root);
  bring(
    loader,
    meta,
    engine.longest,
    life.signal,
    (placed) => {
      engine.setImage(placed);
      root.dataset["shown"] = placed.volume.shape.join(" ");
      draw.ask();
    },
    state.frame,
  ).catch(say);
  layOver(label).catch(say);
  offer().catch(say);

  return () => {
    life.abort();
    overAbort.abort();
    unsubscribe();
    size.disconnect();
    clearTimeout(rest);
    draw.cancel();
    engine.dispose();
    root.remove();
    sheet.remove();
    canvas.remove();
    // the slice view goes on where the crosshair was
    const voxel = toVoxel(meta.affine, planes.frame.center);
    const now = store.get();
    const last = planeOf(meta, now.plane).count - 1;
    store.set({ ...now, index: Math.min(last, Math.max(0, Math.round(voxel[planeOf(meta, now.plane).axis]))) });
  };
}
