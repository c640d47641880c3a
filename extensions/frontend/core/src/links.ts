// Views that follow each other: same group, same page. In the browser, so that they do also while a kernel computes.
import { lengthAlong, type SeriesMeta } from "./contract";
import { toPatient, toVoxel, voxelAt } from "./geometry";
import { corrected, planeOf, type Store, type ViewState } from "./state";

export type Linked = "index" | "window" | "zoom" | "plane";

export interface Member {
  meta: SeriesMeta;
  store: Store<ViewState>;
  linked: () => readonly Linked[];
}

const groups = new Map<string, Set<Member>>();

/** The slice of `to` that passes where the middle of `from`'s slice lies; by number where they share no millimetres. */
export function indexLike(from: SeriesMeta, state: ViewState, to: SeriesMeta, planeName: string): number {
  const [plane, other] = [planeOf(from, state.plane), planeOf(to, planeName)];
  if (from.affine === null || to.affine === null || from.frame === null || from.frame !== to.frame) return state.index;
  const center = voxelAt(plane, state.index, { right: plane.right.count / 2, down: plane.down.count / 2 });
  const voxel = toVoxel(to.affine, toPatient(from.affine, center));
  const last = lengthAlong(to.shape, other.axis, to.dims) - 1;
  return Math.min(Math.max(Math.round(voxel[other.axis]), 0), last);
}

/** What of `state` another member takes over. */
export function followed(from: Member, state: ViewState, to: Member): ViewState {
  const linked = to.linked();
  const now = to.store.get();
  const plane = linked.includes("plane") && to.meta.planes.some(({ name }) => name === state.plane) ? state.plane : now.plane;
  return corrected(to.meta, {
    ...now,
    plane,
    ...(linked.includes("index") && plane === state.plane ? { index: indexLike(from.meta, state, to.meta, plane) } : {}),
    ...(linked.includes("window") ? { window: state.window, invert: state.invert } : {}),
    ...(linked.includes("zoom") ? { zoom: state.zoom, pan: state.pan, rotation: state.rotation, flip: state.flip } : {}),
  });
}

/** Join a group; returns how to leave it. */
export function link(group: string, member: Member): () => void {
  const members = groups.get(group) ?? new Set<Member>();
  groups.set(group, members);
  members.add(member);
  const unsubscribe = member.store.subscribe((state, before) => {
    if (passing) return; // it follows another one itself
    const names = ["plane", "index", "window", "invert", "zoom", "pan", "rotation", "flip"] as const;
    if (names.every((name) => state[name] === before[name])) return;
    passing = true;
    try {
      for (const other of members) if (other !== member) other.store.set(followed(member, state, other));
    } finally {
      passing = false;
    }
  });
  return () => {
    unsubscribe();
    members.delete(member);
    if (members.size === 0) groups.delete(group);
  };
}

let passing = false;
