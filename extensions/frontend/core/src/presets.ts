// The windows that a radiologist expects for a series, by modality and body part. Keys 1 to 9 take them in this order.
import type { SeriesMeta } from "./contract";
import { physical } from "./values";

export interface Preset {
  name: string;
  /** Centre and width, in the array's values. */
  window: readonly [number, number];
}

// Centre and width in HU, as scanner and workstation makers set them.
const CT: Readonly<Record<string, readonly [number, number]>> = {
  "Soft tissue": [40, 400],
  Lung: [-600, 1500],
  Mediastinum: [50, 350],
  Bone: [400, 1800],
  "Bone, fine": [600, 3000],
  Brain: [40, 80],
  Stroke: [35, 35],
  Subdural: [75, 215],
  "Temporal bone": [700, 4000],
  Abdomen: [60, 400],
  Liver: [60, 160],
  Angio: [300, 600],
};

const ALL_CT = ["Soft tissue", "Lung", "Bone", "Brain", "Liver", "Mediastinum", "Angio", "Subdural"];

// What is examined, by words of BodyPartExamined (PS3.16 annex L) and of descriptions: the presets that come first.
const BY_PART: readonly (readonly [RegExp, readonly string[]])[] = [
  [/HEAD|BRAIN|SKULL|NECK|IAC|ORBIT|SINUS/, ["Brain", "Subdural", "Stroke", "Bone, fine", "Temporal bone", "Soft tissue", "Angio"]],
  [/CHEST|LUNG|THORAX/, ["Lung", "Mediastinum", "Soft tissue", "Bone", "Angio"]],
  [/ABDOMEN|LIVER|PELVIS|PANCREAS|KIDNEY|COLON/, ["Abdomen", "Liver", "Soft tissue", "Bone", "Lung", "Angio"]],
  [/SPINE|HIP|KNEE|EXTREMITY|FOOT|HAND|SHOULDER/, ["Bone", "Soft tissue", "Bone, fine"]],
  [/HEART|CORONARY|AORTA|VESSEL/, ["Angio", "Mediastinum", "Lung", "Soft tissue", "Bone"]],
];

const SUV_TOPS = [5, 7, 10, 15, 20];
const MOST = 9; // keys

function ct(meta: SeriesMeta): Preset[] {
  const part = `${meta.body_part ?? ""} ${meta.description ?? ""}`.toUpperCase();
  const first = BY_PART.find(([words]) => words.test(part))?.[1] ?? [];
  const { slope, intercept } = physical(meta);
  return [...new Set([...first, ...ALL_CT])].flatMap((name) => {
    const window = CT[name];
    return window === undefined ? [] : [{ name, window: [(window[0] - intercept) / slope, window[1] / slope] as const }];
  });
}

/** PET by standardised uptake value from 0, where the header gives the factor. */
function pet(meta: SeriesMeta): Preset[] {
  const factor = (meta.suv?.bw ?? 0) * physical(meta).slope;
  return factor > 0 ? SUV_TOPS.map((top) => ({ name: `SUV 0–${String(top)}`, window: [top / 2 / factor, top / factor] as const })) : [];
}

/** Values of MR and projections have no unit: windows are narrower and wider than the series' own. */
function relative([center, width]: readonly [number, number]): Preset[] {
  const low = center - width / 2;
  return [
    { name: "More contrast", window: [center, width * 0.6] },
    { name: "Less contrast", window: [center, width * 1.6] },
    { name: "Brighter", window: [low + width * 0.35, width * 0.7] },
    { name: "Darker", window: [low + width * 0.7, width * 1.4] },
  ];
}

/** The windows to choose from; the series' own is the first. */
export function presets(meta: SeriesMeta): readonly Preset[] {
  const own = meta.window ?? ([0.5, 1] as const);
  const further = meta.modality === "CT" ? ct(meta) : meta.modality === "PT" ? pet(meta) : [];
  return [{ name: "As stored", window: own }, ...(further.length === 0 ? relative(own) : further)].slice(0, MOST);
}
