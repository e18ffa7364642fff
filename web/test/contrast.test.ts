import { readFileSync } from "node:fs";

import { expect, it } from "vitest";

/** Return relative luminance (WCAG 2) of red, green and blue, 0 to 255. */
function luminance(rgb: number[]): number {
  const [red = 0, green = 0, blue = 0] = rgb.map((part) => {
    const share = part / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

/** Return the parts, 0 to 255, of the color that a rule of a file sets. */
function colorOf(file: string, rule: RegExp): number[] {
  const [, hex = ""] = rule.exec(readFileSync(file, "utf8")) ?? [];
  return (hex.match(/../g) ?? []).map((part) => parseInt(part, 16));
}

it("V5: the pause screen's words can be read over a white picture", () => {
  const veil = colorOf("app/stage.css", /"paused"\] \.notice \{\s*background: #(\w{8})/);
  const words = colorOf("app/page.css", /--soft: #(\w{6})/);
  const cover = (veil[3] ?? 0) / 255;
  const behind = veil.slice(0, 3).map((part) => cover * part + (1 - cover) * 255);

  expect((luminance(words) + 0.05) / (luminance(behind) + 0.05)).toBeGreaterThan(4.5);
});
