# `lora serve` in a container. The token is required, because other machines reach the port:
#
#   docker build -t lora .
#   docker run -p 8080:8080 -e LORA_SERVE_TOKEN=… -v "$PWD/runs:/runs:ro" lora /runs/reviews
#
# An adapter on a model of the hub needs its cache too: -v "$HOME/.cache/huggingface:/cache:ro" -e HF_HOME=/cache
FROM rust:1.95-bookworm AS build
WORKDIR /source
COPY . .
RUN cargo build --release --locked --package lora-cli

FROM debian:bookworm-slim
RUN useradd --create-home lora
COPY --from=build /source/target/release/lora /usr/local/bin/lora
USER lora
EXPOSE 8080
# Without a shell between, so that SIGTERM reaches the server, which answers what it accepted.
ENTRYPOINT ["lora", "serve", "--host", "0.0.0.0"]
