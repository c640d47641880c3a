// Draws one slice, and labels over it, with WebGL2: values as integer textures, the window in the shader.
import type { Slice } from "../contract";
import { colorTable, TABLE_SIZE, type Color } from "./colors";
import type { Engine, Layer, Scene } from "./engine";
import { compileProgram, type Program } from "./program";
import { fragment, windowLevels, type SamplerKind } from "./shaders";

interface Format {
  kind: SamplerKind;
  internal: GLenum;
  format: GLenum;
  type: GLenum;
}

function formatOf(gl: WebGL2RenderingContext, { values, samples }: Slice): Format {
  if (samples === 3) return { kind: "color", internal: gl.RGB8, format: gl.RGB, type: gl.UNSIGNED_BYTE };
  if (values instanceof Int16Array) return { kind: "isampler2D", internal: gl.R16I, format: gl.RED_INTEGER, type: gl.SHORT };
  if (values instanceof Uint16Array) return { kind: "usampler2D", internal: gl.R16UI, format: gl.RED_INTEGER, type: gl.UNSIGNED_SHORT };
  if (values instanceof Int8Array) return { kind: "isampler2D", internal: gl.R8I, format: gl.RED_INTEGER, type: gl.BYTE };
  if (values instanceof Uint8Array) return { kind: "usampler2D", internal: gl.R8UI, format: gl.RED_INTEGER, type: gl.UNSIGNED_BYTE };
  return { kind: "sampler2D", internal: gl.R32F, format: gl.RED, type: gl.FLOAT };
}

const [IMAGE_UNIT, LABEL_UNIT, COLOR_UNIT] = [0, 1, 2];

/** The engine on `canvas`, or null where the browser has no WebGL2. */
export function createSlice2d(canvas: HTMLCanvasElement): Engine | null {
  const gl = canvas.getContext("webgl2", { alpha: false, antialias: false, depth: false, preserveDrawingBuffer: true });
  return gl === null ? null : engineOn(gl, canvas);
}

function engineOn(gl: WebGL2RenderingContext, canvas: HTMLCanvasElement): Engine {
  const programs = new Map<SamplerKind, Program>();
  const textures = new Map<number, { texture: WebGLTexture; holds: Slice | null }>();
  gl.bindVertexArray(gl.createVertexArray());
  gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);

  function textureOf(unit: number): { texture: WebGLTexture; holds: Slice | null } {
    gl.activeTexture(gl.TEXTURE0 + unit);
    const known = textures.get(unit);
    if (known !== undefined) {
      gl.bindTexture(gl.TEXTURE_2D, known.texture);
      return known;
    }
    const made = { texture: gl.createTexture(), holds: null };
    gl.bindTexture(gl.TEXTURE_2D, made.texture);
    for (const side of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, side, gl.NEAREST);
    for (const wrap of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, wrap, gl.CLAMP_TO_EDGE);
    textures.set(unit, made);
    return made;
  }

  /** Upload a slice unless the texture holds it. */
  function load(unit: number, slice: Slice): void {
    const entry = textureOf(unit);
    if (entry.holds === slice) return;
    const { internal, format, type } = formatOf(gl, slice);
    gl.texImage2D(gl.TEXTURE_2D, 0, internal, slice.columns, slice.rows, 0, format, type, slice.values);
    entry.holds = slice;
  }

  function setColors(colors: ReadonlyMap<number, Color>, hidden: readonly number[]): void {
    textureOf(COLOR_UNIT);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, TABLE_SIZE, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE, colorTable(colors, hidden));
  }

  function useMap(program: Program, name: string, layer: Layer): void {
    const [a, b, c, d, e, f] = layer.map;
    gl.uniform3f(program.at(`${name}Column`), a, b, c);
    gl.uniform3f(program.at(`${name}Row`), d, e, f);
  }

  setColors(new Map(), []);
  return {
    setColors,
    draw(scene: Scene, width, height) {
      if (gl.isContextLost()) return;
      if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
      gl.viewport(0, 0, width, height);
      gl.clearColor(0, 0, 0, 1);
      gl.clear(gl.COLOR_BUFFER_BIT);
      if (scene.image === null) {
        for (const unit of [IMAGE_UNIT, LABEL_UNIT]) {
          gl.deleteTexture(textures.get(unit)?.texture ?? null);
          textures.delete(unit);
        }
        return;
      }
      const { kind } = formatOf(gl, scene.image.slice);
      const program = programs.get(kind) ?? compileProgram(gl, fragment(kind));
      programs.set(kind, program);
      gl.useProgram(program.program);
      load(IMAGE_UNIT, scene.image.slice);
      if (scene.label !== null) load(LABEL_UNIT, scene.label.slice);
      textureOf(COLOR_UNIT);
      const [lowest, range] = windowLevels(scene.window, kind !== "sampler2D");
      gl.uniform1i(program.at("image"), IMAGE_UNIT);
      gl.uniform1i(program.at("labels"), LABEL_UNIT);
      gl.uniform1i(program.at("colors"), COLOR_UNIT);
      gl.uniform2f(program.at("levels"), lowest, range);
      gl.uniform1f(program.at("opacity"), scene.opacity);
      gl.uniform1i(program.at("inverted"), Number(scene.inverted));
      gl.uniform1i(program.at("outline"), Number(scene.outline));
      gl.uniform1i(program.at("smoothed"), Number(scene.smooth));
      gl.uniform1i(program.at("hasLabels"), scene.label === null ? 0 : 1);
      gl.uniform1f(program.at("viewportHeight"), height);
      useMap(program, "image", scene.image);
      if (scene.label !== null) useMap(program, "label", scene.label);
      gl.drawArrays(gl.TRIANGLES, 0, 3);
    },
    dispose() {
      for (const { texture } of textures.values()) gl.deleteTexture(texture);
      for (const { program } of programs.values()) gl.deleteProgram(program);
      gl.getExtension("WEBGL_lose_context")?.loseContext(); // a browser keeps only some 16 contexts
    },
  };
}
