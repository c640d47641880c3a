// Bundles that are loaded when they are first needed: the first image pays for none of them. build.mjs builds each file of
// widget/src/lazy and writes the hashed names in here.
import type * as Mpr from "../lazy/mpr";
import type * as Slide from "../lazy/slide";

interface Bundles {
  mpr: typeof Mpr;
  slide: typeof Slide;
}

declare const LAZY_BUNDLES: Readonly<Record<keyof Bundles, string>>;

/** The bundle, from where this one came from. */
export async function lazily<K extends keyof Bundles>(name: K): Promise<Bundles[K]> {
  if (!import.meta.url.startsWith("http"))
    throw new Error("This view needs the Cohortlab server extension: its program is loaded from there.");
  return (await import(new URL(LAZY_BUNDLES[name], import.meta.url).href)) as Bundles[K];
}
