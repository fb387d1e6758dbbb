# trio-stt on the CPU, for amd64 and arm64. The image holds the embedded English model, so it needs no network.
# docs/containers.md has the commands.

FROM python:3.13-slim-bookworm AS build
# hadolint ignore=DL3013
RUN pip install --no-cache-dir uv
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY trio_stt trio_stt
COPY web web
# uv leaves out torch and tflite-runtime, which two packages ask for and nothing uses: [tool.uv] in pyproject.toml.
RUN uv venv /opt/trio-stt \
    && uv pip install --no-cache --compile-bytecode --python /opt/trio-stt/bin/python --group models .
# Compiles the kernels beside the package, so that no start has to.
RUN /opt/trio-stt/bin/python -c "from trio_stt.server.build import prepare_process; from trio_stt.dsp.silero import SileroModel; prepare_process(); SileroModel()"

FROM python:3.13-slim-bookworm
LABEL org.opencontainers.image.title="trio-stt" \
      org.opencontainers.image.description="Self-hosted, real-time speech-to-text server" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /opt/trio-stt /opt/trio-stt
# Models, recordings, keys and caches.
RUN useradd --uid 10001 --home-dir /data --no-create-home --shell /usr/sbin/nologin trio-stt \
    && install --directory --owner=10001 --group=10001 --mode=0750 /data
# `trio-stt` is the name by which other containers reach this one in compose.yaml; add yours.
ENV PATH=/opt/trio-stt/bin:$PATH \
    TRIO_STT_HOST=0.0.0.0 \
    TRIO_STT_ALLOWED_HOSTS=trio-stt \
    TRIO_STT_DOWNLOAD_ROOT=/data/models \
    XDG_CACHE_HOME=/data/cache
USER 10001
WORKDIR /data
VOLUME /data
EXPOSE 8010 10300
STOPSIGNAL SIGTERM
# A first start may download a model.
HEALTHCHECK --interval=30s --timeout=5s --start-period=300s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8010/health/ready', timeout=4)"]
ENTRYPOINT ["trio-stt"]
CMD ["serve"]
