# The image holds one binary, what it is linked to, and the CA certificates. It runs as nobody in particular, with a
# read-only root file system if told so; it writes to /data only.

FROM rust:1.95-bookworm AS build
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
COPY src src
# The caches keep what was downloaded and compiled from one build to the next; they are not part of the image.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --profile dist --locked --bin webinar-bridge \
    && install -D target/dist/webinar-bridge /out/webinar-bridge \
    && install -d /out/data

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /out/webinar-bridge /usr/local/bin/webinar-bridge
# Owned before it becomes a volume, so that a new volume is owned likewise.
COPY --from=build --chown=65532:65532 /out/data /data
WORKDIR /
VOLUME /data

# Nothing here wins over the configuration file: the store's default, sqlite:data/bridge.db, is /data/bridge.db from /.
# The ops listener is on the container's own loopback until listen.ops says otherwise; the health check reaches it there.
# SQLITE_TMPDIR is where SQLite sorts what does not fit into memory; elsewhere it may not write.
ENV BRIDGE_CONFIG=/etc/webinar-bridge/bridge.toml \
    SQLITE_TMPDIR=/data

EXPOSE 8080 9090
# By number, so that Kubernetes can tell that it is not root.
USER 65532:65532
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["/usr/local/bin/webinar-bridge", "health"]
ENTRYPOINT ["/usr/local/bin/webinar-bridge"]
CMD ["serve"]
