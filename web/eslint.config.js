/**
 * typescript-eslint, strict and type-aware. Its parser needs TypeScript's JavaScript API, which
 * TypeScript 7 does not have yet. So the package `typescript` is version 6 (its command is `tsc6`),
 * for this alone; `@typescript/native`, version 7 (`tsc`), checks and builds.
 *
 * Run from the repository's root, since it also checks examples/page: `npm run eslint`.
 */

import js from "@eslint/js";
import { defineConfig, globalIgnores } from "eslint/config";
import tseslint from "typescript-eslint";

export default defineConfig(
  globalIgnores(["**/dist/"]),
  { linterOptions: { reportUnusedDisableDirectives: "error" } },
  js.configs.recommended,
  {
    rules: {
      curly: ["error", "multi-line"],
      eqeqeq: "error",
      "max-lines": ["error", 400],
      "no-console": "error",
    },
  },
  {
    files: ["**/*.ts"],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: {
      parserOptions: { projectService: true, tsconfigRootDir: `${import.meta.dirname}/..` },
    },
    rules: {
      // `() => this.#onEnded()` passes an event on; braces around it say nothing more.
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
      // A number has one text.
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
    },
  },
  {
    files: ["web/test/**/*.ts"],
    rules: {
      // `sockets[1]!` of a missing element fails the test, which is what it should do.
      "@typescript-eslint/no-non-null-assertion": "off",
    },
  },
);
