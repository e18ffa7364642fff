/**
 * Builds the pages into the Python package: index.html, the watch page, as the template which the
 * server fills (the comment BOOT), me.html, everybody's account, join/, the script of a priced
 * stream's address, and everything else under
 * static/assets/ with content hashes.
 */

import { gzipSync } from "node:zlib";

import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";
import { build } from "rolldown";

/** A script as one line of classic JavaScript, with all that it uses. */
async function wholeScript(input: string): Promise<string> {
  const { output } = await build({
    input,
    write: false,
    output: { format: "iife", minify: true },
  });
  return output[0].code.trim();
}

/** Build the script of a priced stream's address apart: chunks shared with it would delay pictures. */
function joinScript(): Plugin {
  return {
    name: "join-script",
    async generateBundle() {
      const source = await wholeScript("join/main.ts");
      this.emitFile({ type: "asset", name: "join.js", source });
    },
  };
}

/** Give the account page copies of what it shares with the watch page: a chunk of both would delay pictures. */
function ownCopies(): Plugin {
  return {
    name: "own-copies",
    enforce: "pre",
    async resolveId(source, importer) {
      if (!source.startsWith("../sdk/") || !importer?.includes("/web/me/")) return null;
      const found = await this.resolve(source, importer, { skipSelf: true });
      return found && `${found.id}?me`;
    },
  };
}

/** Inline what the first picture waits for; request the player's script first. */
function firstPicture(): Plugin {
  return {
    name: "first-picture",
    enforce: "post",
    transformIndexHtml: {
      order: "post",
      async handler(html, { bundle, path }) {
        if (path !== "/index.html") return html;
        let page = html.replace("<!--EARLY-->", () => "");
        const early = `<script>${await wholeScript("app/prefetch.ts")}</script>`;
        // Two would be inlined in an order that nobody chose: the later one's rules hold.
        if ((page.match(/<link rel="stylesheet"/g) ?? []).length > 1) {
          throw new Error("the watch page has two style sheets: import one of them in the other");
        }
        if (bundle === undefined) return page.replace("<!--BOOT-->", () => `<!--BOOT-->${early}`);
        for (const [name, file] of Object.entries(bundle)) {
          if (file.type !== "asset" || !name.endsWith(".css")) continue;
          const link = new RegExp(`\\s*<link rel="stylesheet"[^>]*${name}"[^>]*>`);
          page = page.replace(link, () => `\n    <style>${String(file.source).trim()}</style>`);
        }
        // The script is requested before the early fetches, which may use all connections; being a
        // module it runs after the whole page is parsed.
        const script = /\s*<script type="module"[^>]*src="([^"]+)"[^>]*><\/script>/.exec(page);
        const [element, source] = script ?? [];
        if (!element || !source) throw new Error("the page has no module script");
        const tag = `<script type="module" fetchpriority="high" src="${source}"></script>`;
        // Line breaks stay, so that text keeps its spaces; indentation is only bytes.
        page = page.replace(element, () => "").replace(/\n\s+/g, "\n");
        return page.replace("<!--BOOT-->", () => `${tag}\n<!--BOOT-->${early}`);
      },
    },
    generateBundle: {
      order: "post",
      handler(_options, bundle) {
        for (const [name, file] of Object.entries(bundle)) {
          if (file.type !== "chunk") continue;
          const source = gzipSync(file.code, { level: 9 });
          this.emitFile({ type: "asset", fileName: `${name}.gz`, source });
        }
      },
    },
  };
}

export default defineConfig({
  plugins: [ownCopies(), firstPicture(), joinScript()],
  // `npm run dev` shows the page of a running server: VILOKANAM_URL=http://127.0.0.1:8080.
  server: {
    proxy: {
      "^/(w/[^/]+/)?[a-z0-9-]+/.*(m3u8|mp4|m4s|meter|session|top-up|receipts)$": {
        target: process.env["VILOKANAM_URL"] ?? "http://127.0.0.1:8080",
        ws: true,
      },
    },
  },
  build: {
    rolldownOptions: { input: ["index.html", "me.html"] },
    outDir: "../mediaserver/api/static",
    emptyOutDir: true,
    assetsDir: "assets",
    // MSE with fMP4 and ES2022 arrived in the same years.
    target: "es2022",
    modulePreload: false,
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 600,
  },
  test: { include: ["test/**/*.test.ts"], environment: "node" },
});
