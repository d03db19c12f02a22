# The image contains one binary, its shared libraries and the CA certificates. It runs as an unprivileged user, works with
# a read-only root file system, and writes to /data only.

FROM rust:1.95-bookworm AS build
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
COPY src src
# The caches keep downloads and compiled crates between builds; they are not part of the image.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --profile dist --locked --bin webinar-bridge \
    && install -D target/dist/webinar-bridge /out/webinar-bridge \
    && install -d /out/data

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /out/webinar-bridge /usr/local/bin/webinar-bridge
# The owner is set before /data becomes a volume, so that a new volume has the same owner.
COPY --from=build --chown=65532:65532 /out/data /data
WORKDIR /
VOLUME /data

# Nothing here overrides the configuration file. The store's default, sqlite:data/bridge.db, is /data/bridge.db from /.
# The ops listener's default is the container's own loopback, where the health check reaches it.
# SQLITE_TMPDIR is the folder for SQLite's temporary files; it cannot write elsewhere.
ENV BRIDGE_CONFIG=/etc/webinar-bridge/bridge.toml \
    SQLITE_TMPDIR=/data

EXPOSE 8080 9090
# A number, so that Kubernetes can check that the user is not root.
USER 65532:65532
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["/usr/local/bin/webinar-bridge", "health"]
ENTRYPOINT ["/usr/local/bin/webinar-bridge"]
CMD ["serve"]
