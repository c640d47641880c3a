// The viewer's core: state, loading and drawing of medical images in a page, without a framework.
export type { Plane, SeriesMeta, Segment, Slice, Vector3, Volume } from "./contract";
export { toPatient, toVoxel } from "./geometry";
export { link, type Linked } from "./links";
export { createLoader, type Loader, type SliceAddress } from "./loader";
export { messageTransport, type Messenger } from "./messages";
export { basePath, xsrfToken } from "./page";
export { corrected, createStore, initialState, planeOf, type Store, type ViewState } from "./state";
export type { BrushMessage } from "./tools/labels";
export { isComplete, type Mark } from "./tools/marks";
export { checked, httpTransport, LoadError, type Transport } from "./transport";
export { mountViewer, type Viewer, type ViewerOptions } from "./ui/viewer";
export { CAVEAT, DISPLAY, heading } from "./ui/words";
