# syntax=docker/dockerfile:1
# The command `iot-topology`, for a run against Kafka and ClickHouse. Built from a checkout: docker build -t iot-topology .
# The image holds the compiled packages and their production dependencies only, and runs as nobody in particular (1000:1000), with a read-only root if you like:
# it writes to /data, which is to be a volume, and to /tmp.
ARG NODE_IMAGE=node:24.21.0-bookworm-slim

# What npm needs to know: changes less often than the sources, so that installed packages are kept from build to build.
FROM ${NODE_IMAGE} AS manifests
WORKDIR /build
ENV CI=true npm_config_update_notifier=false npm_config_fund=false
COPY package.json package-lock.json .npmrc ./
COPY packages/core/package.json packages/core/
COPY packages/connectors/package.json packages/connectors/
COPY packages/topologies/package.json packages/topologies/
COPY examples/01-first-topology/package.json examples/01-first-topology/
COPY examples/02-windows-and-late/package.json examples/02-windows-and-late/
COPY examples/03-test-a-topology/package.json examples/03-test-a-topology/
COPY examples/04-schema-registry/package.json examples/04-schema-registry/
COPY examples/05-process-and-calls/package.json examples/05-process-and-calls/
COPY examples/06-shop/package.json examples/06-shop/
COPY bench/package.json bench/
COPY test/package.json test/

FROM manifests AS build
RUN npm ci
COPY tsconfig.base.json tsconfig.json tsconfig.build.json ./
COPY types types
COPY packages packages
RUN npm run build

FROM manifests AS dependencies
# The embedded ClickHouse is 550 MB, and is not used where a server is named. "yes" keeps it.
ARG EMBEDDED_CLICKHOUSE=no
RUN npm ci --omit=dev --workspace=packages/core --workspace=packages/connectors --workspace=packages/topologies \
 && if [ "$EMBEDDED_CLICKHOUSE" != yes ]; then rm -rf node_modules/chdb node_modules/@chdb; fi \
 && npm cache clean --force

FROM ${NODE_IMAGE} AS runtime
WORKDIR /app
ENV NODE_ENV=production \
    NO_COLOR=1 \
    NODE_OPTIONS=--max-semi-space-size=8 \
    MALLOC_ARENA_MAX=2 \
    IOT_TOPOLOGY_DATA=/data \
    IOT_TOPOLOGY_PORT=8080
COPY --from=dependencies --chown=root:root /build/node_modules node_modules
# Packages whose versions differ between workspaces stand in a workspace's own node_modules.
COPY --from=dependencies --chown=root:root /build/packages packages
COPY --from=build --chown=root:root /build/packages/core/dist packages/core/dist
COPY --from=build --chown=root:root /build/packages/connectors/dist packages/connectors/dist
COPY --from=build --chown=root:root /build/packages/topologies/dist packages/topologies/dist
COPY --from=build --chown=root:root /build/packages/topologies/bin packages/topologies/bin
# A topology file of yours is mounted under /app/topology, where it finds the packages it imports.
RUN mkdir -p /data /app/topology && chown 1000:1000 /data
USER 1000:1000
VOLUME ["/data"]
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=6 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.IOT_TOPOLOGY_PORT}/readyz`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
# Without a shell between, so that SIGTERM reaches the program: it finishes its commit, leaves the group and ends.
ENTRYPOINT ["node", "/app/packages/topologies/bin/iot-topology.js"]
CMD ["start"]
