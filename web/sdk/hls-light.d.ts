/** The light build has the same types as the full one, less what it leaves out at run time. */
declare module "hls.js/dist/hls.light.min.mjs" {
  export * from "hls.js";
  export { default } from "hls.js";
}
