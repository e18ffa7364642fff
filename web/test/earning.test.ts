import { describe, expect, it } from "vitest";

import { shareText, type Share } from "../me/earning";

const ASSET = { symbol: "EUR", decimals: 6 };
const share = (changed: Partial<Share>): Share => ({
  stream: "cam",
  title: "Camera",
  account: "0x5a",
  ppm: 25_000,
  to_come: null,
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

  it("tells a new payee the part to come, and from when", () => {
    const from = new Date();
    from.setHours(6, 25, 36, 0);
    const next = (ppm: number) => ({ ppm, from_ms: from.getTime() });
    expect(shareText(share({ ppm: 0, to_come: next(250_000) }), ASSET)).toBe(
      "Camera: 25% of what viewers pay from 06:25:36. Nothing yet.",
    );
    const changed = shareText(share({ to_come: next(0) }), ASSET);
    expect(changed).toContain("Camera: 2.5% of what viewers pay, no part from 06:25:36.");
  });

  it("stays when the part has ended, with what is owed", () => {
    const text = shareText(share({ ppm: 0, debt: "1000000" }), ASSET);
    expect(text).toContain("no part any more");
    expect(text).toContain("1 EUR owed");
  });
});
