# Two small images from one build: `streamer` and `generator`.
# Needs BuildKit, which `docker compose` uses by itself.

FROM rust:1.95-bookworm AS chef
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    cargo install --quiet --locked cargo-chef@0.1.78
WORKDIR /build

# What the dependencies hang on: changes only when they do.
FROM chef AS plan
COPY . .
RUN cargo chef prepare --recipe-path recipe.json

# The dependencies first, in a layer of their own, then the sources.
FROM chef AS build
COPY --from=plan /build/recipe.json .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    cargo chef cook --release --locked --recipe-path recipe.json
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    cargo build --release --locked --bins

FROM debian:bookworm-slim AS base
# To tell a database's certificate.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
# New volumes take over the mode of these folders, so that any account may write what deploy/secrets makes, and what
# comes by HTTP.
RUN install -d -m 777 /run/secrets /spool
USER 1000:1000
# Here `data` and `streams.toml` have the names that they have in the repository.
WORKDIR /

FROM base AS generator
COPY --from=build /build/target/release/generator /usr/local/bin/
ENTRYPOINT ["generator"]

FROM base AS streamer
COPY --from=build /build/target/release/streamer /usr/local/bin/
ENTRYPOINT ["streamer"]
