// The shaders of slice2d. Values stay integers up to the fragment: the window is applied to what the scanner stored.
export type SamplerKind = "isampler2D" | "usampler2D" | "sampler2D" | "color";

export const VERTEX = `#version 300 es
void main() {
  // one triangle that covers the viewport
  vec2 corner = vec2(float((gl_VertexID << 1) & 2), float(gl_VertexID & 2));
  gl_Position = vec4(corner * 2.0 - 1.0, 0.0, 1.0);
}`;

/**
 * The window is DICOM's LINEAR function (PS3.3 C.11.2.1.2.1) for integers, LINEAR_EXACT for real values. Not smooth, each
 * layer is looked up at the one voxel under the pixel's centre. Smooth, the stored values are interpolated before the window,
 * so that a window's edge stays sharp; at one pixel a voxel that is the voxel's value again. Labels are never interpolated.
 */
export function fragment(kind: SamplerKind): string {
  const colour = kind === "color";
  const sampler = colour ? "sampler2D" : kind;
  const [type, fetched] = colour ? ["vec3", "texelFetch(image, at, 0).rgb"] : ["float", "float(texelFetch(image, at, 0).r)"];
  return `#version 300 es
precision highp float;
precision highp int;
precision highp ${sampler};
precision highp usampler2D;
uniform ${sampler} image;
uniform usampler2D labels;
uniform sampler2D colors;
uniform vec3 imageColumn, imageRow, labelColumn, labelRow;
uniform vec2 levels;
uniform float opacity;
uniform bool hasLabels, inverted, outline, smoothed;
uniform float viewportHeight;
out vec4 color;

bool inside(ivec2 at, ivec2 size) {
  return at.x >= 0 && at.y >= 0 && at.x < size.x && at.y < size.y;
}

${type} valueOf(ivec2 at) {
  return ${fetched};
}

${type} valueAt(vec2 place, ivec2 size) {
  if (!smoothed) return valueOf(ivec2(floor(place)));
  vec2 low = floor(place - 0.5);
  vec2 part = place - 0.5 - low;
  ivec2 a = clamp(ivec2(low), ivec2(0), size - 1);
  ivec2 b = clamp(ivec2(low) + 1, ivec2(0), size - 1);
  return mix(mix(valueOf(a), valueOf(ivec2(b.x, a.y)), part.x), mix(valueOf(ivec2(a.x, b.y)), valueOf(b), part.x), part.y);
}

uint labelAt(vec3 pixel) {
  ivec2 place = ivec2(floor(vec2(dot(labelColumn, pixel), dot(labelRow, pixel))));
  return inside(place, textureSize(labels, 0)) ? texelFetch(labels, place, 0).r : 0u;
}

vec4 colorOf(uint number) {
  return number == 0u ? vec4(0.0) : texelFetch(colors, ivec2(int((number - 1u) % 255u) + 1, 0), 0);
}

void main() {
  vec3 pixel = vec3(gl_FragCoord.x, viewportHeight - gl_FragCoord.y, 1.0);
  vec2 place = vec2(dot(imageColumn, pixel), dot(imageRow, pixel));
  ivec2 size = textureSize(image, 0);
  if (!inside(ivec2(floor(place)), size)) {
    color = vec4(0.0, 0.0, 0.0, 1.0);
    return;
  }
  ${
    colour
      ? "vec3 shown = valueAt(place, size);\n  if (inverted) shown = 1.0 - shown;"
      : "float grey = clamp((valueAt(place, size) - levels.x) / levels.y, 0.0, 1.0);\n  vec3 shown = vec3(inverted ? 1.0 - grey : grey);"
  }
  if (hasLabels) {
    uint number = labelAt(pixel);
    vec4 tint = colorOf(number);
    float strength = opacity;
    if (outline && number != 0u) {
      for (int side = 0; side < 4; side += 1) {
        vec2 step = side < 2 ? vec2(side == 0 ? 1.5 : -1.5, 0.0) : vec2(0.0, side == 2 ? 1.5 : -1.5);
        if (labelAt(pixel + vec3(step, 0.0)) != number) strength = 1.0;
      }
    }
    shown = mix(shown, tint.rgb, tint.a * strength);
  }
  color = vec4(shown, 1.0);
}`;
}

const STEP = 1e-6;

/** Lowest shown value and range of a window, for `grey = (value - lowest) / range`. */
export function windowLevels(window: readonly [number, number], integer: boolean): [number, number] {
  const [center, width] = window;
  if (!integer) return [center - width / 2, width];
  if (width <= 1) return [center - 0.5, STEP]; // the standard's step: black up to the centre, white above
  return [center - 0.5 - (width - 1) / 2, width - 1];
}
