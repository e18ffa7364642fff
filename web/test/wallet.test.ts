import { describe, expect, it } from "vitest";

import { publicKeyOf } from "../me/wallet";

const ALICE = "0xd43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d";

describe("the key of a wallet's address", () => {
  it("is the same of every network", () => {
    expect(publicKeyOf("5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY")).toBe(ALICE);
    expect(publicKeyOf("15oF4uVJwmo4TdGW7VfQxNLavjCXviqxT9S1MgbjMNHr6Sp5")).toBe(ALICE);
    expect(publicKeyOf(ALICE.toUpperCase().replace("0X", "0x"))).toBe(ALICE);
  });

  it("is none of what is no address", () => {
    for (const address of ["", "0x12", "5Grwva", "not an address 0OIl"]) {
      expect(publicKeyOf(address)).toBe("");
    }
  });
});
