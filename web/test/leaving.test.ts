import { expect, test } from "vitest";

import { exported } from "../me/leaving";

test("an export is every page's rows, a JSON object a line", async () => {
  const pages: Record<string, { rows: unknown[]; next_after: string | null }> = {
    "me/export": { rows: [{ table: "people", row: { name: "Ann" } }, 2], next_after: "0-2" },
    "me/export?after=0-2": { rows: [], next_after: "3-0" },
    "me/export?after=3-0": { rows: ["last"], next_after: null },
  };
  const asked: string[] = [];

  const text = await exported((path) => {
    asked.push(path);
    return Promise.resolve(pages[path]!);
  });

  expect(text).toBe('{"table":"people","row":{"name":"Ann"}}\n2\n"last"\n');
  expect(asked).toEqual(Object.keys(pages));
});
