// Draws the three planes with WebGL2: volumes as 3-D textures of the stored values.
import type { PixelArray, Vector3, Volume } from "../contract";
import { colorTable, TABLE_SIZE, type Color } from "../engine/colors";
import { compileProgram, type Program } from "../engine/program";
import { windowLevels } from "../engine/shaders";
import { gridOf, middleOf, viewOf, VIEWS, type Frame, type Grid, type ViewName } from "./frame";
import { planeShader, SLABS, type Slab, type VolumeKind } from "./shader";
import type { Affine } from "../contract";

/** A volume with its place: `factors` are voxels of level 0 in one of this level's, along z, y, x. */
export interface Placed {
  volume: Volume;
  affine: Affine;
  factors: Vector3;
  /** mm of the smallest side of a voxel, which is the step through a slab. */
  step: number;
}

export interface PlanesScene {
  frame: Frame;
  focus: Vector3;
  /** mm that one device pixel is wide. */
  pixelSize: number;
  /** mm that the image is moved in each view (right, down). */
  pan: Readonly<Record<ViewName, readonly [number, number]>>;
  window: readonly [number, number];
  overWindow: readonly [number, number];
  inverted: boolean;
  opacity: number;
  slab: Slab;
  /** mm. */
  thickness: number;
  /** Where each view is: x, y (from the top left), width, height in device pixels. */
  places: Readonly<Record<ViewName, readonly [number, number, number, number]>>;
}

export interface PlanesEngine {
  setImage(image: Placed): void;
  setOver(over: Placed | null, labels: boolean): void;
  setColors(colors: ReadonlyMap<number, Color>, hidden: readonly number[]): void;
  /** Draw over `width` x `height` device pixels; with `share` below 1 as fewer pixels, which are then made larger. */
  draw(scene: PlanesScene, width: number, height: number, share?: number): void;
  /** Voxels along a side of a texture, at most. */
  readonly longest: number;
  dispose(): void;
}

const MOST_SAMPLES = 256;

function formatOf(gl: WebGL2RenderingContext, values: PixelArray): { kind: VolumeKind; internal: GLenum; format: GLenum; type: GLenum } {
  if (values instanceof Int16Array) return { kind: "isampler3D", internal: gl.R16I, format: gl.RED_INTEGER, type: gl.SHORT };
  if (values instanceof Uint16Array) return { kind: "usampler3D", internal: gl.R16UI, format: gl.RED_INTEGER, type: gl.UNSIGNED_SHORT };
  if (values instanceof Int8Array) return { kind: "isampler3D", internal: gl.R8I, format: gl.RED_INTEGER, type: gl.BYTE };
  if (values instanceof Uint8Array) return { kind: "usampler3D", internal: gl.R8UI, format: gl.RED_INTEGER, type: gl.UNSIGNED_BYTE };
  return { kind: "sampler3D", internal: gl.R32F, format: gl.RED, type: gl.FLOAT };
}

/** The scene with `share` of its pixels along each side. */
function shared(scene: PlanesScene, share: number): PlanesScene {
  const smaller = (name: ViewName): [number, number, number, number] => {
    const [x, y, width, height] = scene.places[name].map((value) => Math.round(value * share));
    return [x ?? 0, y ?? 0, width ?? 0, height ?? 0];
  };
  const places = { axial: smaller("axial"), coronal: smaller("coronal"), sagittal: smaller("sagittal") };
  return { ...scene, places, pixelSize: scene.pixelSize / share };
}

interface Held {
  texture: WebGLTexture;
  kind: VolumeKind;
  grid: Grid;
  step: number;
  integer: boolean;
}

/** The engine on `canvas`, or null where the browser has no WebGL2. */
export function createPlanes(canvas: HTMLCanvasElement): PlanesEngine | null {
  const context = canvas.getContext("webgl2", { alpha: false, antialias: false, depth: false, preserveDrawingBuffer: true });
  if (context === null) return null;
  const gl = context;
  const programs = new Map<string, Program>();
  let image: Held | null = null;
  let over: Held | null = null;
  let isLabels = false;
  gl.bindVertexArray(gl.createVertexArray());
  gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
  const colors = gl.createTexture();
  const draft = { frame: gl.createFramebuffer(), pixels: gl.createRenderbuffer(), width: 0, height: 0 };

  /** Draw into the draft of this size from now on. */
  function begin(width: number, height: number): void {
    gl.bindFramebuffer(gl.FRAMEBUFFER, draft.frame);
    if (draft.width === width && draft.height === height) return;
    [draft.width, draft.height] = [width, height];
    gl.bindRenderbuffer(gl.RENDERBUFFER, draft.pixels);
    gl.renderbufferStorage(gl.RENDERBUFFER, gl.RGB8, width, height);
    gl.framebufferRenderbuffer(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.RENDERBUFFER, draft.pixels);
  }

  /** Bring the draft to the canvas. */
  function enlarge(width: number, height: number): void {
    gl.bindFramebuffer(gl.READ_FRAMEBUFFER, draft.frame);
    gl.bindFramebuffer(gl.DRAW_FRAMEBUFFER, null);
    gl.blitFramebuffer(0, 0, draft.width, draft.height, 0, 0, width, height, gl.COLOR_BUFFER_BIT, gl.LINEAR);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
  }

  function nearest(target: GLenum): void {
    for (const side of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(target, side, gl.NEAREST);
    for (const wrap of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T, gl.TEXTURE_WRAP_R]) gl.texParameteri(target, wrap, gl.CLAMP_TO_EDGE);
  }

  function setColors(known: ReadonlyMap<number, Color>, hidden: readonly number[]): void {
    gl.activeTexture(gl.TEXTURE2);
    gl.bindTexture(gl.TEXTURE_2D, colors);
    nearest(gl.TEXTURE_2D);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, TABLE_SIZE, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE, colorTable(known, hidden));
  }

  function hold(unit: GLenum, { volume, affine, factors, step }: Placed): Held {
    const { kind, internal, format, type } = formatOf(gl, volume.values);
    const texture = gl.createTexture();
    gl.activeTexture(unit);
    gl.bindTexture(gl.TEXTURE_3D, texture);
    nearest(gl.TEXTURE_3D);
    const [z, y, x] = volume.shape;
    gl.texImage3D(gl.TEXTURE_3D, 0, internal, x, y, z, 0, format, type, volume.values);
    return { texture, kind, grid: gridOf(affine, factors), step, integer: kind !== "sampler3D" };
  }

  function programFor(): Program | null {
    if (image === null) return null;
    const key = `${image.kind} ${over?.kind ?? "none"} ${String(isLabels)}`;
    const known = programs.get(key) ?? compileProgram(gl, planeShader(image.kind, over?.kind ?? "none", isLabels));
    programs.set(key, known);
    return known;
  }

  function drawView(program: Program, scene: PlanesScene, name: ViewName, height: number): void {
    const [x, y, w, h] = scene.places[name];
    if (image === null || w < 1 || h < 1) return;
    const view = viewOf(scene.frame, name);
    const [panRight, panDown] = scene.pan[name];
    const middle = middleOf(scene.frame, view, scene.focus);
    const place = (along: number, below: number): Vector3 =>
      [0, 1, 2].map((axis) => (middle[axis] ?? 0) + (view.right[axis] ?? 0) * along + (view.down[axis] ?? 0) * below) as unknown as Vector3;
    const topLeft = place((-w / 2) * scene.pixelSize - panRight, (-h / 2) * scene.pixelSize - panDown);
    const scaled = (vector: Vector3, by: number): Vector3 => [vector[0] * by, vector[1] * by, vector[2] * by];
    const vector = (at: string, value: Vector3): void => {
      gl.uniform3f(program.at(at), ...value);
    };
    const samples = scene.slab === "slice" ? 1 : Math.min(MOST_SAMPLES, Math.max(1, Math.round(scene.thickness / image.step)));
    const step = samples === 1 ? 0 : scene.thickness / samples;
    gl.viewport(x, height - y - h, w, h);
    gl.uniform2f(program.at("corner"), x, height - y - h);
    gl.uniform1f(program.at("viewHeight"), h);
    gl.uniform1i(program.at("samples"), samples);
    gl.uniform1i(program.at("slab"), SLABS.indexOf(scene.slab));
    for (const [held, start, right, down, through] of [
      [image, "start", "right", "down", "through"],
      [over, "overStartAt", "overRight", "overDown", "overThrough"],
    ] as const) {
      if (held === null) continue;
      vector(start, held.grid.at(topLeft));
      vector(right, held.grid.along(scaled(view.right, scene.pixelSize)));
      vector(down, held.grid.along(scaled(view.down, scene.pixelSize)));
      vector(through, held.grid.along(scaled(view.normal, step)));
    }
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }

  setColors(new Map(), []);
  return {
    setColors,
    setImage(placed) {
      gl.deleteTexture(image?.texture ?? null);
      image = hold(gl.TEXTURE0, placed);
    },
    setOver(placed, labels) {
      gl.deleteTexture(over?.texture ?? null);
      over = placed === null ? null : hold(gl.TEXTURE1, placed);
      isLabels = labels;
    },
    longest: gl.getParameter(gl.MAX_3D_TEXTURE_SIZE) as number,
    draw(sharp, fullWidth, fullHeight, share = 1) {
      if (gl.isContextLost()) return;
      if (canvas.width !== fullWidth || canvas.height !== fullHeight) [canvas.width, canvas.height] = [fullWidth, fullHeight];
      const [width, height] = [Math.ceil(fullWidth * share), Math.ceil(fullHeight * share)];
      const scene = share === 1 ? sharp : shared(sharp, share);
      if (share !== 1) begin(width, height);
      gl.viewport(0, 0, width, height);
      gl.clearColor(0, 0, 0, 1);
      gl.clear(gl.COLOR_BUFFER_BIT);
      const program = programFor();
      if (program === null || image === null) {
        gl.bindFramebuffer(gl.FRAMEBUFFER, null);
        return;
      }
      gl.useProgram(program.program);
      const [low, range] = windowLevels(scene.window, image.integer);
      const [overLow, overRange] = windowLevels(scene.overWindow, over?.integer ?? true);
      gl.uniform1i(program.at("image"), 0);
      gl.uniform1i(program.at("over"), 1);
      gl.uniform1i(program.at("colors"), 2);
      gl.uniform2f(program.at("levels"), low, range);
      gl.uniform2f(program.at("overLevels"), overLow, overRange);
      gl.uniform1f(program.at("opacity"), scene.opacity);
      gl.uniform1i(program.at("inverted"), Number(scene.inverted));
      for (const name of VIEWS) drawView(program, scene, name, height);
      if (share !== 1) enlarge(fullWidth, fullHeight);
    },
    dispose() {
      for (const held of [image, over]) gl.deleteTexture(held?.texture ?? null);
      for (const { program } of programs.values()) gl.deleteProgram(program);
      gl.getExtension("WEBGL_lose_context")?.loseContext();
    },
  };
}
