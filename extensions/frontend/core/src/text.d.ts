// Style sheets and icons are imported as text (esbuild's `text` loader).
declare module "*.css" {
  const text: string;
  export default text;
}
declare module "*.svg" {
  const text: string;
  export default text;
}
