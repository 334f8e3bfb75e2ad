# docker build -t grantkeeper .
# docs/operating.md tells how to run it: the home is a volume, the keys come from elsewhere, and the port wants TLS or a proxy that has it.
FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
# Dependencies are downloaded and compiled once, and kept between builds (BuildKit's cache mounts). The program itself is compiled anew each time: Cargo
# goes by the times of files, and those of a checkout or an archive may be older than the last build.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo clean --release --locked --package grantkeeper \
    && cargo build --release --locked \
    && strip -o /grantkeeper target/release/grantkeeper

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/grantkeeper --shell /usr/sbin/nologin grantkeeper \
    && install -d -o grantkeeper -g grantkeeper -m 0700 /var/lib/grantkeeper
COPY --from=build /grantkeeper /usr/local/bin/grantkeeper
USER grantkeeper
ENV GRANTKEEPER_HOME=/var/lib/grantkeeper
VOLUME /var/lib/grantkeeper
EXPOSE 8765
# Requests under way are finished first, for as long as 70 seconds: `docker stop --time 80`.
STOPSIGNAL SIGTERM
HEALTHCHECK --start-period=30s --start-interval=1s CMD ["grantkeeper", "health"]
ENTRYPOINT ["grantkeeper"]
CMD ["serve"]
