import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

import { rolldown } from "rolldown";
import { expect, it } from "vitest";

/** Return kB gzip of the SDK as a page's bundler makes it. */
async function size(external: RegExp[]): Promise<number> {
  const bundle = await rolldown({ input: "sdk/index.ts", external });
  const { output } = await bundle.generate({ format: "esm", minify: true });
  return gzipSync(output[0].code, { level: 9 }).length / 1000;
}

it("D8: the README says what the SDK weighs", async () => {
  const [, all, own] =
    /is (\d+) kB gzip: (\d+) kB/.exec(readFileSync("sdk/README.md", "utf8")) ?? [];

  expect(Math.abs((await size([])) - Number(all))).toBeLessThan(4);
  expect(Math.abs((await size([/hls\.js/])) - Number(own))).toBeLessThan(2);
}, 30_000);
