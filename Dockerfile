# The same image that `cargo xtask image --engine native` makes, through Docker. Both run the same
# command for the binary; `cargo xtask image --engine buildx` drives this file and holds its result
# against xtask/image.toml.
ARG BASE=scratch

# Compiles on the machine's own platform for every other: no emulation.
FROM --platform=$BUILDPLATFORM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
ARG TARGETPLATFORM
# For build scripts that embed a time; without it they would embed another one than on a developer's machine.
ARG SOURCE_DATE_EPOCH
# Platforms are built side by side and share these caches: unless they take turns, cargo's registry
# is unpacked twice at once and breaks. The target folder outlives this source: cargo tells old from new by
# time alone, so every file of the source is made newer than what is in there. The secret `ca` is a
# company's own certificates, where given.
RUN --mount=type=cache,id=gateway-registry,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,id=gateway-target,target=/src/target,sharing=locked \
    --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    find . -path ./target -prune -o -type f -exec touch {} + && \
    cargo xtask binary --platform "$TARGETPLATFORM" --out /out

FROM ${BASE}
COPY LICENSE-APACHE LICENSE-MIT /usr/share/doc/gateway/
COPY --from=build /out/gateway /usr/bin/gateway
USER 65532:65532
EXPOSE 8080/tcp 8081/tcp
HEALTHCHECK --interval=10s --timeout=3s --retries=3 CMD ["/usr/bin/gateway", "health"]
ENTRYPOINT ["/usr/bin/gateway"]
