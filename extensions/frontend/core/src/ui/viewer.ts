// The viewer on a page: binds state, session, engine and the parts of the page. Draws what state and session hold.
import type { SeriesMeta, Slice, Segment } from "../contract";
import { createSurface } from "../engine/surface";
import type { Loader } from "../loader";
import { place, textureMap, type Placement } from "../placement";
import { presets } from "../presets";
import { createSession, type Session } from "../session";
import {
  advanced,
  corrected,
  createStore,
  flipped,
  quarterTurned,
  reset,
  shownPlane,
  withPlane,
  type Store,
  type ViewState,
} from "../state";
import { createHistory } from "../tools/history";
import type { BrushMessage } from "../tools/labels";
import type { Mark } from "../tools/marks";
import { build } from "./build";
import { h, onNextFrame } from "./dom";
import { createDrawing } from "./drawing";
import { listen } from "./input";
import { afterKey } from "./keys";
import { createPainting, type Brush } from "./painting";
import { createPicture, PICTURES } from "./picture";
import { writeBar, writeTexts } from "./readout";
import { colorOf, fillSide, paintOptions } from "./side";
import style from "./style.css";

export interface ViewerOptions {
  loader: Loader;
  store: Store<ViewState>;
  meta: SeriesMeta;
  label: SeriesMeta | null;
  /** Takes what is painted; without it there is nowhere to keep a segmentation, and nothing is painted. */
  onBrush?: (message: BrushMessage) => void;
  /** Asks Python to write a file. */
  onSave?: (what: "segmentation" | "annotations") => void;
  /** Puts three planes over the image; loaded only when it is asked for. */
  openPlanes?: (host: HTMLElement, label: SeriesMeta | null) => Promise<() => void>;
  /** Fills the place it is given instead of having a height of its own. */
  fills?: boolean;
}

export interface Viewer {
  setLabel(label: SeriesMeta | null): void;
  /** A line that is said below the image, such as that a file was saved. */
  say(text: string): void;
  dispose(): void;
}

const SOFTWARE = "This browser offers no WebGL2: the image is drawn by the processor, which is slower.";

const WIDE = 760; // CSS pixels from which on the side panel is open by itself

interface Step {
  undo(): void;
  redo(): void;
}

/** Give a key with Ctrl to the page around, such as Ctrl + S, as if it had been pressed beside the viewer. */
function passOn(host: HTMLElement, event: KeyboardEvent): void {
  const { key, code, keyCode, ctrlKey, metaKey, shiftKey } = event;
  const again = new KeyboardEvent("keydown", {
    key,
    code,
    keyCode,
    ctrlKey,
    metaKey,
    shiftKey,
    bubbles: true,
    cancelable: true,
    composed: true,
  });
  event.stopPropagation();
  if (host.parentElement?.dispatchEvent(again) === false) event.preventDefault();
}

/** Put a viewer into `host`. */
export function mountViewer(host: HTMLElement, options: ViewerOptions): Viewer {
  const { loader, store, meta } = options;
  // JupyterLab listens for keys before the page does: this attribute keeps its shortcuts out.
  host.setAttribute("data-lm-suppress-shortcuts", "true");
  const shadow = host.shadowRoot ?? host.attachShadow({ mode: "open" });
  const paints = options.onBrush !== undefined && meta.samples.length === 0;
  const view = build(meta, paints);
  view.root.classList.toggle("fills", options.fills === true);
  shadow.replaceChildren(h("style", { text: style }), view.root);

  let label = options.label;
  let box = view.stage.element.getBoundingClientRect(); // kept: asking for it each frame would lay the page out each frame
  let hover: { x: number; y: number } | null = null;
  let said = "";
  let planes: (() => void) | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const history = createHistory<Step>();
  const draw = onNextFrame(render);
  const surface = createSurface(view.stage.canvas, {
    ask: draw.ask,
    moved(canvas) {
      quiet();
      view.stage.canvas = canvas;
      quiet = listenTo(canvas);
    },
  });
  const picture = surface.problem === "" ? null : createPicture(view.stage.canvas, loader, meta);
  const stop = new AbortController();
  const { signal } = stop;
  const own = presets(meta)[0]?.window ?? [0.5, 1];
  const brush = createStore<Brush>({ radius: 5, segment: 1, range: [own[0] - own[1] / 2, own[0] + own[1] / 2] });

  const change = (next: Partial<ViewState>): void => {
    store.set(corrected(meta, { ...store.get(), ...next }));
  };

  function viewport(): { width: number; height: number } {
    return { width: Math.max(1, Math.round(box.width * devicePixelRatio)), height: Math.max(1, Math.round(box.height * devicePixelRatio)) };
  }

  function placement(): Placement {
    const state = store.get();
    const [right, down] = state.pan;
    return place(shownPlane(meta, state), viewport(), state.zoom, [right * devicePixelRatio, down * devicePixelRatio]);
  }

  const detailOf = ({ scale }: Placement): number => Math.min(Math.abs(scale[0]), Math.abs(scale[1]));
  const session: Session = createSession(loader, store, meta, label, detailOf(placement()));

  /** The slice in full detail, when it is shown. */
  function fullSlice(): Slice | null {
    const { image, exact, level, loading } = session.shown();
    return exact && level === 0 && !loading ? image : null;
  }

  const segments = (): Segment[] => {
    const known = label?.segments ?? [];
    const { segment } = brush.get();
    const painted = Array.from({ length: segment }, (_, at) => at + 1).filter((number) => painting.labels.touched || number === segment);
    const own = paints ? painted.filter((number) => !known.some((one) => one.number === number)) : [];
    return [...known, ...own.map((number) => ({ number, label: `Segment ${String(number)}`, color: null }))];
  };

  const drawing = createDrawing({
    meta,
    store,
    slice: fullSlice,
    placement,
    done: (before, after) => {
      history.done({
        undo: () => {
          change({ marks: before });
        },
        redo: () => {
          change({ marks: after });
        },
      });
    },
    ask: draw.ask,
  });
  const painting = createPainting({
    meta,
    store,
    brush,
    image: fullSlice,
    base: () => session.shown().label,
    placement,
    done: history.done,
    send: (message) => options.onBrush?.(message),
    ask: draw.ask,
  });
  view.stage.canvas.after(drawing.layer, painting.layer);

  const side = fillSide(view.side, {
    meta,
    store,
    brush,
    segments,
    slice: fullSlice,
    selected: () => drawing.selected,
    select(mark) {
      drawing.select(mark.id);
      change({ plane: mark.plane, index: mark.index, frame: mark.frame });
    },
    remove(mark) {
      drawing.select(mark.id);
      drawing.removeSelected();
    },
    rename(mark, text) {
      const before = store.get().marks;
      const after = before.map((one): Mark => (one.id === mark.id ? { ...one, label: text } : one));
      history.done({
        undo: () => {
          change({ marks: before });
        },
        redo: () => {
          change({ marks: after });
        },
      });
      change({ marks: after });
    },
    paints,
    ...(options.onSave === undefined ? {} : { save: options.onSave }),
  });
  const settings = paintOptions(view.toolOptions, brush, () => store.get().tool, meta.units ?? "");
  let coloured = "";

  function render(): void {
    const state = store.get();
    const area = viewport();
    const now = placement();
    session.detail(detailOf(now));
    const shown = session.shown();
    const plane = shownPlane(meta, state);
    const layer = (slice: Slice | null) => (slice === null ? null : { slice, map: textureMap(plane, now, slice.rows, slice.columns) });
    const labels = state.overlay && shown.exact ? painting.labels.shown(plane, state.index, state.frame, shown.label) : null;
    recolour(state);
    surface.draw(
      {
        image: layer(shown.image),
        label: layer(labels),
        window: state.window,
        inverted: (meta.photometric === "MONOCHROME1") !== state.invert,
        opacity: state.opacity,
        outline: state.outline,
        smooth: state.smooth,
      },
      area.width,
      area.height,
    );
    picture?.draw(state, shown, now);
    drawing.draw();
    painting.hover(hover);
    writeTexts(view, meta, { state, shown, placement: now, area, hover });
    writeBar(view, meta, state);
    side.draw();
    settings.draw();
    write(state);
  }

  function recolour(state: ViewState): void {
    const known = segments();
    const key = JSON.stringify([known, state.hidden]);
    if (key === coloured) return;
    coloured = key;
    surface.setColors(new Map(known.map((segment) => [segment.number, colorOf(segment)])), state.hidden);
  }

  function write(state: ViewState): void {
    const { loading, problem, exact, recovering, signedOut } = session.shown();
    const { stage } = view;
    stage.element.classList.toggle("busy", loading || recovering);
    stage.element.dataset["tool"] = state.tool;
    view.root.dataset["shown"] = loading || !exact || problem !== "" ? "" : `${state.plane} ${String(state.index)} ${String(state.frame)}`;
    const wrong = (picture === null ? surface.problem : "") || problem;
    stage.message.hidden = wrong === "";
    stage.problem.textContent = wrong;
    stage.retry.textContent = signedOut && loader.transport.signIn !== undefined ? "Sign in" : "Try again";
    stage.retry.hidden = picture === null && surface.problem !== "";
    view.rail.undo.disabled = !history.canUndo;
    view.rail.redo.disabled = !history.canRedo;
    const hints = [said, loader.transport.hint, picture !== null ? PICTURES : surface.plain ? SOFTWARE : ""].filter(Boolean).join(" ");
    view.hint.hidden = hints === "";
    view.hint.textContent = hints;
    view.bar.buttons.panel.setAttribute("aria-pressed", String(!view.side.hidden));
    if (state.playing && exact && !loading && timer === undefined) {
      timer = setTimeout(() => {
        timer = undefined;
        if (store.get().playing) store.set(advanced(meta, store.get()));
      }, 1000 / state.rate);
    }
  }

  const toggleHelp = (): void => {
    view.stage.help.hidden = !view.stage.help.hidden;
    view.bar.buttons.help.setAttribute("aria-pressed", String(!view.stage.help.hidden));
  };
  const toggleSide = (): void => {
    view.side.hidden = !view.side.hidden;
    draw.ask();
  };
  const undo = (): void => {
    if (drawing.stop()) return;
    history.undo()?.undo();
    draw.ask();
  };
  const redo = (): void => {
    history.redo()?.redo();
    draw.ask();
  };
  function closePlanes(): void {
    planes?.();
    planes = null;
    view.bar.buttons.mpr.setAttribute("aria-pressed", "false");
  }
  async function togglePlanes(): Promise<void> {
    if (planes !== null) closePlanes();
    else if (options.openPlanes !== undefined) {
      const place = h("div", { class: "planes" });
      view.stage.element.append(place);
      const close = await options.openPlanes(place, label);
      planes = () => {
        close();
        place.remove();
      };
    }
    view.bar.buttons.mpr.setAttribute("aria-pressed", String(planes !== null));
  }

  const { buttons } = view.bar;
  const click = (button: HTMLElement, run: () => void): void => {
    button.addEventListener("click", run, { signal });
  };
  for (const [name, button] of view.bar.planes)
    click(button, () => {
      store.set(withPlane(meta, store.get(), name));
    });
  for (const [tool, button] of view.rail.tools)
    click(button, () => {
      drawing.stop();
      change({ tool });
    });
  click(buttons.rotate, () => {
    store.set(quarterTurned(store.get(), 1));
  });
  click(buttons.across, () => {
    store.set(flipped(store.get(), "across"));
  });
  click(buttons.down, () => {
    store.set(flipped(store.get(), "down"));
  });
  click(buttons.invert, () => {
    change({ invert: !store.get().invert });
  });
  click(buttons.play, () => {
    change({ playing: !store.get().playing });
  });
  click(buttons.reset, () => {
    store.set(reset(meta, store.get()));
  });
  click(buttons.help, toggleHelp);
  click(buttons.panel, toggleSide);
  click(buttons.mpr, () => {
    togglePlanes().catch((error: unknown) => {
      said = error instanceof Error ? error.message : String(error);
      draw.ask();
    });
  });
  buttons.mpr
    .closest<HTMLElement>(".group")
    ?.toggleAttribute("hidden", options.openPlanes === undefined || meta.affine === null || meta.samples.length > 0);
  click(view.rail.undo, undo);
  click(view.rail.redo, redo);
  click(view.stage.retry, () => {
    if (session.shown().signedOut) loader.transport.signIn?.();
    session.retry();
    view.stage.canvas.focus({ preventScroll: true }); // the button goes, and with it would the keys
  });
  view.bar.preset.addEventListener(
    "change",
    () => {
      const preset = presets(meta)[Number(view.bar.preset.value)];
      if (preset !== undefined) change({ window: preset.window });
    },
    { signal },
  );
  view.bar.rate.addEventListener(
    "input",
    () => {
      change({ rate: Number(view.bar.rate.value) });
    },
    { signal },
  );
  view.bar.frame.addEventListener(
    "input",
    () => {
      change({ frame: Number(view.bar.frame.value) });
    },
    { signal },
  );
  view.stage.depth.addEventListener(
    "input",
    () => {
      change({ index: Number(view.stage.depth.value), playing: false });
    },
    { signal },
  );

  view.root.addEventListener(
    "keydown",
    (event) => {
      const from = event.target as HTMLElement;
      const typing = from instanceof HTMLInputElement && ["text", "number"].includes(from.type);
      const widget = from instanceof HTMLSelectElement || from instanceof HTMLInputElement;
      const button = from instanceof HTMLButtonElement;
      if (event.altKey || typing) return;
      const control = event.ctrlKey || event.metaKey;
      const key = event.key;
      if (control && key.toLowerCase() === "z") (event.shiftKey ? redo : undo)();
      else if (control && key.toLowerCase() === "y") redo();
      else if (control) {
        passOn(host, event);
        return;
      } else if (key === "?") toggleHelp();
      else if (key === "Escape") {
        if (!view.stage.help.hidden) toggleHelp();
        else if (!drawing.stop()) change({ tool: "window" });
      } else if (key === "Delete" || key === "Backspace") drawing.removeSelected();
      else {
        if ((widget && (key.length > 1 || key === " ")) || (button && (key === " " || key === "Enter"))) return;
        const onePixel = store.get().zoom * (placement().pixelSize / shownPlane(meta, store.get()).right.spacing);
        const next = afterKey(meta, store.get(), key, onePixel, paints);
        if (next === null) return;
        drawing.stop();
        store.set(corrected(meta, next.index === store.get().index ? next : { ...next, playing: false }));
      }
      event.preventDefault();
      event.stopPropagation(); // a notebook's own keys stay out of the image
    },
    { signal },
  );

  const listenTo = (canvas: HTMLElement): (() => void) =>
    listen({
      canvas,
      store,
      meta,
      hand: (x, y, event) => painting.begin(x, y, event) ?? drawing.begin(x, y, event),
      onHover(at) {
        hover = at;
        if (at !== null) drawing.hover(at.x, at.y);
        draw.ask();
      },
    });
  let quiet = listenTo(view.stage.canvas);
  const size = new ResizeObserver(() => {
    box = view.stage.element.getBoundingClientRect();
    draw.ask();
  });
  size.observe(view.stage.element);
  const ended = loader.onEnded((dataset) => {
    if (dataset === meta.dataset || dataset === label?.dataset) closePlanes(); // they keep whole volumes
  });
  const unsubscribe = [store.subscribe(draw.ask), brush.subscribe(draw.ask), ended];
  session.onChange(draw.ask);
  const narrow = (): boolean => view.root.getBoundingClientRect().width < WIDE;
  view.side.hidden = (options.label === null && store.get().marks.length === 0) || narrow();
  draw.ask();

  return {
    setLabel(next) {
      label = next;
      if (next !== null) view.side.hidden = narrow();
      session.setLabel(next);
      draw.ask();
    },
    say(text) {
      said = text;
      draw.ask();
    },
    dispose() {
      quiet();
      stop.abort();
      planes?.();
      clearTimeout(timer);
      for (const end of unsubscribe) end();
      size.disconnect();
      draw.cancel();
      session.dispose();
      surface.dispose();
      picture?.dispose();
      shadow.replaceChildren();
    },
  };
}
