// Who draws WebGL here: a graphics card, a program that stands in for one, or nobody.
export type Renderer = "card" | "program" | "none";

/** Names of programs that draw WebGL on the processor: slower there than the 2-D canvas, and than an empty page's own rhythm. */
const PROGRAMS = /swiftshader|llvmpipe|softpipe|software|basic render/i;

export function isProgram(name: string): boolean {
  return PROGRAMS.test(name);
}

function look(): Renderer {
  const gl = document.createElement("canvas").getContext("webgl2");
  if (gl === null) return "none";
  const told = gl.getExtension("WEBGL_debug_renderer_info");
  const name = String(gl.getParameter(told === null ? gl.RENDERER : told.UNMASKED_RENDERER_WEBGL));
  gl.getExtension("WEBGL_lose_context")?.loseContext(); // a browser keeps only some 16 contexts
  return isProgram(name) ? "program" : "card";
}

let found: Renderer | undefined;

/** The page's renderer. The first time it makes a WebGL context, which may take as long as a graphics driver needs to start. */
export function renderer(): Renderer {
  return (found ??= look());
}

/** The same where it was found out before; undefined else. */
export function knownRenderer(): Renderer | undefined {
  return found;
}
