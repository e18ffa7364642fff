/**
 * Builds the page into dist/ and previews it at the origin of a running server, as a reverse proxy
 * in front of both would: /example/ is this page, everything else is the server's.
 */

import { env } from "node:process";
import { fileURLToPath, URL } from "node:url";

const server = env["VILOKANAM_URL"] ?? "http://127.0.0.1:8080";

export default {
  base: "/example/",
  // What `npm install` of the SDK would do; it is not in a registry.
  resolve: {
    alias: {
      "vilokanam-web": fileURLToPath(new URL("../../web/sdk/index.ts", import.meta.url)),
    },
  },
  build: { target: "es2022", chunkSizeWarningLimit: 600 },
  preview: { proxy: { "^/(?!example/)": { target: server, ws: true } } },
};
