// The shader of the three planes: samples volumes along a slab and lays a second volume or labels over the first.
export const SLABS = ["slice", "mip", "minip", "mean"] as const;
export type Slab = (typeof SLABS)[number];
export type VolumeKind = "isampler3D" | "usampler3D" | "sampler3D";

const NEAREST = `float nearest(vec3 at) {
  ivec3 place = ivec3(floor(at + 0.5));
  ivec3 size = textureSize(over, 0).zyx;
  return outside(vec3(place), size) ? 0.0 : overVoxel(place);
}`;

/** `over`: nothing, a second image in colours (PET over CT), or labels. Values are interpolated linearly, labels never. */
export function planeShader(image: VolumeKind, over: VolumeKind | "none", labels: boolean): string {
  const second = over === "none" ? "" : `precision highp ${over};\nuniform ${over} over;`;
  const blend =
    over === "none"
      ? ""
      : labels
        ? `
  uint number = uint(nearest(overStart));
  if (number != 0u) {
    vec4 tint = texelFetch(colors, ivec2(int((number - 1u) % 255u) + 1, 0), 0);
    shown = mix(shown, tint.rgb, tint.a * opacity);
  }`
        : `
  float heat = clamp((along(true) - overLevels.x) / overLevels.y, 0.0, 1.0);
  // black, red, yellow, white: the hot iron palette of PET
  vec3 hot = clamp(vec3(heat * 2.0, heat * 2.0 - 0.75, heat * 4.0 - 3.0), 0.0, 1.0);
  shown = mix(shown, hot, opacity * smoothstep(0.02, 0.25, heat));`;
  return `#version 300 es
precision highp float;
precision highp int;
precision highp ${image};
${second}
uniform ${image} image;
uniform sampler2D colors;
uniform vec3 start, right, down, through, overStartAt, overRight, overDown, overThrough;
uniform vec2 levels, overLevels, corner;
uniform float viewHeight, opacity;
uniform int samples, slab;
uniform bool inverted;
out vec4 color;

vec3 overStart;

bool outside(vec3 at, ivec3 size) {
  return any(lessThan(at, vec3(-0.5))) || any(greaterThan(at, vec3(size) - 0.5));
}

// places are (z, y, x), textures are (x, y, z)
${["image", ...(over === "none" ? [] : ["over"])]
  .map(
    (name) => `float ${name}Voxel(ivec3 at) { return float(texelFetch(${name}, at.zyx, 0).r); }
float ${name}At(vec3 at) {
  ivec3 last = textureSize(${name}, 0).zyx - 1;
  vec3 low = floor(at);
  vec3 part = at - low;
  ivec3 a = clamp(ivec3(low), ivec3(0), last);
  ivec3 b = clamp(ivec3(low) + 1, ivec3(0), last);
  float front = mix(
    mix(${name}Voxel(a), ${name}Voxel(ivec3(a.x, a.y, b.z)), part.z),
    mix(${name}Voxel(ivec3(a.x, b.y, a.z)), ${name}Voxel(ivec3(a.x, b.y, b.z)), part.z), part.y);
  float rear = mix(
    mix(${name}Voxel(ivec3(b.x, a.y, a.z)), ${name}Voxel(ivec3(b.x, a.y, b.z)), part.z),
    mix(${name}Voxel(ivec3(b.x, b.y, a.z)), ${name}Voxel(b), part.z), part.y);
  return mix(front, rear, part.x);
}`,
  )
  .join("\n")}
${labels && over !== "none" ? NEAREST : ""}

vec3 origin;

// the slab's value: of this image, or of the one over it
float along(bool second) {
  float found = slab == 2 ? 3.4e38 : (slab == 1 ? -3.4e38 : 0.0);
  float taken = 0.0;
  for (int step = 0; step < samples; step += 1) {
    float place = float(step) - 0.5 * float(samples - 1);
    float value;
    ${
      over === "none" || labels
        ? ""
        : `if (second) {
      vec3 at = overStart + overThrough * place;
      if (outside(at, textureSize(over, 0).zyx)) continue;
      value = overAt(at);
    } else`
    } {
      vec3 at = origin + through * place;
      if (outside(at, textureSize(image, 0).zyx)) continue;
      value = imageAt(at);
    }
    taken += 1.0;
    if (slab == 1) found = max(found, value);
    else if (slab == 2) found = min(found, value);
    else found += value;
  }
  if (taken == 0.0) return -3.4e38;
  return slab == 1 || slab == 2 ? found : found / taken;
}

void main() {
  vec2 pixel = vec2(gl_FragCoord.x - corner.x, viewHeight - (gl_FragCoord.y - corner.y));
  origin = start + right * pixel.x + down * pixel.y;
  overStart = overStartAt + overRight * pixel.x + overDown * pixel.y;
  float value = along(false);
  if (value < -3.3e38) {
    color = vec4(0.0, 0.0, 0.0, 1.0);
    return;
  }
  float grey = clamp((value - levels.x) / levels.y, 0.0, 1.0);
  vec3 shown = vec3(inverted ? 1.0 - grey : grey);
  ${blend}
  color = vec4(shown, 1.0);
}`;
}
