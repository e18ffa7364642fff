import { describe, expect, it } from "vitest";

import { shareText, type Share } from "../me/earning";

const ASSET = { symbol: "EUR", decimals: 6 };
const share = (changed: Partial<Share>): Share => ({
  stream: "cam",
  title: "Camera",
  account: "0x5a",
  ppm: 25_000,
  pending: "0",
  maturing: "0",
  available: "0",
  debt: "0",
  asked: "0",
  paid_out: "0",
  ...changed,
});

describe("a payee's share", () => {
  it("names its part and only what there is", () => {
    expect(shareText(share({}), ASSET)).toBe("Camera: 2.5% of what viewers pay. Nothing yet.");
    const text = shareText(
      share({ available: "2000000", pending: "1", maturing: "499999" }),
      ASSET,
    );
    expect(text).toBe("Camera: 2.5% of what viewers pay. 2 EUR available, 0.5 EUR to come.");
  });

  it("stays when the part has ended, with what is owed", () => {
    const text = shareText(share({ ppm: 0, debt: "1000000" }), ASSET);
    expect(text).toContain("no part any more");
    expect(text).toContain("1 EUR owed");
  });
});
