// The viewer's core: state, loading and drawing of medical images in a page, without a framework.
export type { Plane, SeriesMeta, Segment, Slice } from "./contract";
export { createLoader, LoadError, sliceUrl, type Loader, type SliceAddress } from "./loader";
export { basePath, xsrfToken } from "./page";
export { corrected, createStore, initialState, type Store, type ViewState } from "./state";
export { mountViewer, type ViewerOptions } from "./ui/viewer";
export { CAVEAT } from "./ui/words";
