// The import table of docs/architecture.md as rules. Everything is an error.
// `npm run check:boundaries`; the imports of types count too.

const core = "^packages/core/src/";
/** A folder of core as a module of the table. */
const at = (...names) => `${core}(${names.join("|")})(/|\\.ts$)`;

/** What a folder of core may import: the folders named, the packages named, Node's own modules if `node` is set, and itself. */
function mayImport(folder, { folders = [], packages = [], node = false }, why) {
  const allowed = [
    at(folder, ...folders),
    ...packages.map((name) => `(^|/)node_modules/${name}(/|$)`),
  ];
  return {
    name: `core-${folder}`,
    comment: why,
    severity: "error",
    from: { path: at(folder) },
    to: node ? { pathNot: allowed, dependencyTypesNot: ["core"] } : { pathNot: allowed },
  };
}

module.exports = {
  forbidden: [
    {
      name: "no-circular", severity: "error", from: {}, to: { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } },
      comment: "A cycle means that two modules are one. Types alone may name each other: a stream groups, and a group's aggregate is a stream again.",
    },
    { name: "not-resolvable", comment: "The import leads nowhere.", severity: "error", from: {}, to: { couldNotResolve: true } },
    {
      name: "no-catch-all-folders", comment: "A folder is named for what it holds; utils, common and helpers hold anything.", severity: "error",
      from: {}, to: { path: "^(?!node_modules).*/(util|utils|common|helper|helpers|shared|misc)(/|[.]ts$)", pathNot: "node_modules" },
    },
    {
      name: "no-undeclared-packages", comment: "What is imported is declared in the package's own package.json.", severity: "error",
      from: { path: "^packages/[^/]+/src/" }, to: { dependencyTypes: ["npm-no-pkg", "npm-unknown", "npm-dev"] },
    },

    // The engine: description -> plan -> task -> state and commit -> ports.
    mayImport("model", {}, "model imports nothing."),
    mayImport("schema", { folders: ["model"], packages: ["fp-ts"] }, "schema imports model and fp-ts."),
    mayImport("port", { folders: ["model"] }, "port imports model's types: it is interfaces only."),
    mayImport("topology", { folders: ["model", "schema", "port"] }, "topology imports model and schema, and the type of a sink's specification."),
    mayImport("plan", { folders: ["model", "schema", "topology", "port"], packages: ["fp-ts"] }, "plan imports model, schema, topology and fp-ts, and the type of a sink's specification."),
    {
      name: "description-sees-port-types-only", comment: "A description knows what a sink is, it calls none.", severity: "error",
      from: { path: at("topology", "plan") }, to: { path: at("port"), dependencyTypesNot: ["type-only"] },
    },
    mayImport("state", { folders: ["model", "schema", "port"], packages: ["classic-level", "abstract-level"], node: true }, "state imports model, schema and port."),
    mayImport("task", { folders: ["model", "schema", "topology", "plan", "state", "port"] }, "task imports model, schema, topology's nodes, plan, state's interfaces and port's types; neither fp-ts nor Node's modules nor the runtime."),
    mayImport("commit", { folders: ["model", "state", "port"], node: true }, "commit imports model, state and port."),
    {
      name: "core-runtime-and-testing", comment: "runtime and testing know core only, never a connector.", severity: "error",
      from: { path: at("runtime", "testing") }, to: { path: "^packages/(?!core/)" },
    },
    {
      name: "port-types-only", comment: "port imports types only, so that it has no code to load.", severity: "error",
      from: { path: at("port"), pathNot: "/failpoint\\.ts$" }, to: { path: at("model"), dependencyTypesNot: ["type-only"] },
    },
    {
      name: "classic-level-in-one-file", comment: "LevelDB stands behind one file.", severity: "error",
      from: { path: core, pathNot: `${core}state/level\\.ts$` }, to: { path: "node_modules/(classic-level|abstract-level)/" },
    },
    {
      name: "core-knows-no-outside", comment: "core knows no broker, no database and no package above it.", severity: "error",
      from: { path: core }, to: { path: "^packages/(connectors|topologies)/" },
    },
    {
      name: "task-imports-interfaces", comment: "A task sees a store's interface, not LevelDB.", severity: "error",
      from: { path: at("task") }, to: { path: `${core}state/level` },
    },

    // The connectors.
    {
      name: "connectors-core-index-only", comment: "A connector sees core's public index only.", severity: "error",
      from: { path: "^packages/connectors/src/" }, to: { path: "^packages/core/src/", pathNot: "^packages/core/src/index\\.ts$" },
    },
    {
      name: "connectors-apart", comment: "A connector never sees another connector's inside, only its index.", severity: "error",
      from: { path: "^packages/connectors/src/([^/]+)/" },
      to: { path: "^packages/connectors/src/[^/]+/", pathNot: ["^packages/connectors/src/$1/", "^packages/connectors/src/[^/]+/index\\.ts$"] },
    },
    { name: "connectors-below-topologies", comment: "Connectors stand below the topologies.", severity: "error", from: { path: "^packages/connectors/" }, to: { path: "^packages/topologies/" } },

    // What stands on the packages.
    {
      name: "topologies-entry-points-only", comment: "The topologies use published entry points only.", severity: "error",
      from: { path: "^packages/topologies/" },
      to: { path: "^packages/(core|connectors)/", pathNot: ["^packages/core/src/(index|testing)\\.ts$", "^packages/connectors/src/.*index\\.ts$"] },
    },
    {
      name: "outside-entry-points-only", comment: "Examples, benchmarks and the tests across packages use published entry points only.", severity: "error",
      from: { path: "^(examples|bench|test)/" },
      to: { path: "^packages/", pathNot: ["^packages/core/src/(index|testing)\\.ts$", "^packages/connectors/src/.*index\\.ts$", "^packages/topologies/src/(index|iot/index)\\.ts$"] },
    },
    {
      name: "tests-of-a-package", comment: "A package's own tests may see its inside, and no other package's.", severity: "error",
      from: { path: "^packages/([^/]+)/test/" },
      to: {
        path: "^packages/",
        pathNot: ["^packages/$1/", "^packages/core/src/(index|testing)\\.ts$", "^packages/connectors/src/.*index\\.ts$", "^packages/topologies/src/(index|iot/index)\\.ts$"],
      },
    },
    { name: "sources-import-no-tests", comment: "Nothing shipped imports a test, an example or a benchmark.", severity: "error", from: { path: "^packages/[^/]+/src/" }, to: { path: "^(packages/[^/]+/test|test|examples|bench|scripts)/" } },
    { name: "no-relative-way-between-packages", comment: "A package is imported by its name, never by a path.", severity: "error", from: { path: "^(packages/[^/]+|examples|bench|test)/" }, to: { path: "^packages/", dependencyTypes: ["local"], pathNot: "^$1/" } },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    exclude: { path: "(^|/)dist/|\\.d\\.ts$" },
    tsConfig: { fileName: "tsconfig.json" },
    tsPreCompilationDeps: true,
    combinedDependencies: false,
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["@iot-topology/source", "import", "node", "default"],
      extensions: [".ts", ".js", ".mjs", ".cjs", ".json"],
    },
  },
};
