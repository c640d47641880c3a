// The shaders of slice2d. Values stay integers up to the fragment: the window is applied to what the scanner stored.
export type SamplerKind = "isampler2D" | "usampler2D" | "sampler2D";

export const VERTEX = `#version 300 es
void main() {
  // one triangle that covers the viewport
  vec2 corner = vec2(float((gl_VertexID << 1) & 2), float(gl_VertexID & 2));
  gl_Position = vec4(corner * 2.0 - 1.0, 0.0, 1.0);
}`;

/**
 * The window is DICOM's LINEAR function (PS3.3 C.11.2.1.2.1) for integers, LINEAR_EXACT for real values. Each layer is looked
 * up at the one voxel under the pixel's centre: no value is invented between voxels.
 */
export function fragment(kind: SamplerKind): string {
  return `#version 300 es
precision highp float;
precision highp int;
precision highp ${kind};
precision highp usampler2D;
uniform ${kind} image;
uniform usampler2D labels;
uniform sampler2D colors;
uniform vec3 imageColumn, imageRow, labelColumn, labelRow;
uniform vec2 levels;
uniform float opacity;
uniform bool hasLabels, inverted;
uniform float viewportHeight;
out vec4 color;

bool inside(ivec2 at, ivec2 size) {
  return at.x >= 0 && at.y >= 0 && at.x < size.x && at.y < size.y;
}

void main() {
  vec3 pixel = vec3(gl_FragCoord.x, viewportHeight - gl_FragCoord.y, 1.0);
  ivec2 at = ivec2(floor(vec2(dot(imageColumn, pixel), dot(imageRow, pixel))));
  if (!inside(at, textureSize(image, 0))) {
    color = vec4(0.0, 0.0, 0.0, 1.0);
    return;
  }
  float value = float(texelFetch(image, at, 0).r);
  float grey = clamp((value - levels.x) / levels.y, 0.0, 1.0);
  if (inverted) grey = 1.0 - grey;
  vec3 shown = vec3(grey);
  if (hasLabels) {
    ivec2 place = ivec2(floor(vec2(dot(labelColumn, pixel), dot(labelRow, pixel))));
    if (inside(place, textureSize(labels, 0))) {
      uint number = texelFetch(labels, place, 0).r;
      if (number != 0u) shown = mix(shown, texelFetch(colors, ivec2(int((number - 1u) % 255u) + 1, 0), 0).rgb, opacity);
    }
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
