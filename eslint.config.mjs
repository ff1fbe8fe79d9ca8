// Lint for what the compiler cannot see: promises that nobody awaits, types imported as values, and our own limits.
// Formatting is nobody's business here. Every rule is an error: a warning that may stay is noise.
import tseslint from "typescript-eslint";

/** Rules that need no types; they hold for the plain scripts too. */
const plain = {
  "eqeqeq": "error",
  "no-var": "error",
  "prefer-const": "error",
  "no-cond-assign": "error",
  "no-constant-binary-expression": "error",
  "no-debugger": "error",
  "no-dupe-else-if": "error",
  "no-duplicate-case": "error",
  "no-eval": "error",
  "no-fallthrough": "error",
  "no-irregular-whitespace": "error",
  "no-loss-of-precision": "error",
  "no-misleading-character-class": "error",
  "no-promise-executor-return": "off",
  "no-prototype-builtins": "error",
  "no-self-assign": "error",
  "no-self-compare": "error",
  "no-sparse-arrays": "error",
  "no-template-curly-in-string": "error",
  "no-unreachable": "error",
  "no-unreachable-loop": "error",
  "no-unsafe-finally": "error",
  "no-unsafe-optional-chaining": "error",
  "no-useless-catch": "error",
  "no-useless-rename": "error",
  "use-isnan": "error",
  "valid-typeof": "error",
  "no-unused-private-class-members": "error",
};

const typed = {
  "@typescript-eslint/no-floating-promises": ["error", { checkThenables: true, ignoreVoid: true }],
  "@typescript-eslint/no-misused-promises": ["error", { checksVoidReturn: { attributes: false } }],
  "@typescript-eslint/await-thenable": "error",
  "@typescript-eslint/consistent-type-imports": ["error", { fixStyle: "separate-type-imports", disallowTypeAnnotations: false }],
  "@typescript-eslint/no-explicit-any": "error",
  "@typescript-eslint/no-array-delete": "error",
  "@typescript-eslint/no-base-to-string": "error",
  "@typescript-eslint/no-duplicate-type-constituents": "error",
  "@typescript-eslint/no-for-in-array": "error",
  "@typescript-eslint/no-implied-eval": "off", // the casters are generated: `new Function` with quoted names, in the schema folder only (see below)
  "@typescript-eslint/no-redundant-type-constituents": "error",
  "@typescript-eslint/no-unnecessary-type-assertion": "error",
  "@typescript-eslint/no-unsafe-unary-minus": "error",
  "@typescript-eslint/only-throw-error": "error",
  "@typescript-eslint/prefer-promise-reject-errors": "error",
  "@typescript-eslint/prefer-readonly": "error",
  "@typescript-eslint/require-array-sort-compare": ["error", { ignoreStringArrays: true }],
  "@typescript-eslint/restrict-plus-operands": "error",
  "@typescript-eslint/return-await": ["error", "error-handling-correctness-only"],
  "@typescript-eslint/switch-exhaustiveness-check": ["error", { considerDefaultExhaustiveForUnions: true }],
  "@typescript-eslint/unbound-method": "error",
};

export default tseslint.config(
  { ignores: ["**/node_modules/", "**/dist/", "**/.tap/", "**/*.d.ts", "**/*.tst.ts", "**/fixtures/", "tmp/", ".tsdoc/"] },
  { linterOptions: { reportUnusedDisableDirectives: "error" } },
  {
    files: ["**/*.ts"],
    extends: [tseslint.configs.base],
    languageOptions: { parserOptions: { project: ["./tsconfig.json"], tsconfigRootDir: import.meta.dirname } },
    rules: { ...plain, ...typed },
  },
  {
    files: ["packages/*/src/**/*.ts"],
    rules: {
      "no-console": "error", // a library speaks through its logger
      "no-new-func": "error",
      "no-restricted-syntax": ["error",
        { selector: "ClassDeclaration[superClass][superClass.name!='Error'], ClassExpression[superClass]", message: "No class hierarchies: `extends` is for Error only." },
        { selector: "ExportDefaultDeclaration", message: "Named exports only." },
        { selector: "TSEnumDeclaration, TSModuleDeclaration[declare!=true]", message: "Erasable TypeScript only." },
      ],
      "max-lines-per-function": ["error", { max: 70, skipBlankLines: true, skipComments: true, IIFEs: true }],
    },
  },
  // The casters and encoders are compiled to functions once a schema: see the comment at the top of those files.
  { files: ["packages/core/src/schema/**/*.ts"], rules: { "no-new-func": "off" } },
  // A fake or a test driver is one closure over its state; the functions inside it keep the limit in spirit.
  { files: ["packages/core/src/testing/**/*.ts"], rules: { "max-lines-per-function": ["error", { max: 110, skipBlankLines: true, skipComments: true }] } },
  // A topology file's default export is how the command finds it.
  { files: ["packages/topologies/src/*/topology.ts", "packages/topologies/src/*/index.ts"], rules: { "no-restricted-syntax": "off" } },
  {
    files: ["**/test/**/*.ts", "**/*.test.ts"],
    rules: {
      "@typescript-eslint/require-array-sort-compare": "off",
      // tap's `t.test` returns a promise that the runner itself awaits.
      "@typescript-eslint/no-floating-promises": ["error", { ignoreVoid: true, allowForKnownSafeCalls: [{ from: "package", package: "@tapjs/test", name: ["test"] }, { from: "package", package: "@tapjs/core", name: ["test"] }] }],
    },
  },
  { files: ["**/*.mjs", "**/*.cjs", "packages/*/bin/*.js"], rules: plain },
);
