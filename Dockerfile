# The image of a bullq worker, with the example shop as its application.
#
# For your own jobs, build FROM it and name your application:
#   FROM bullq:latest
#   COPY --chown=root:root shop /app/shop
#   ENV BULLQ_APP=shop.jobs
# Dependencies of your own go into /opt/bullq: switch to USER root, run
# `pip install --no-cache-dir ...` and switch back to USER 10001.

FROM python:3.11-slim AS builder
WORKDIR /build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/build && python -m venv /opt/bullq
# Dependencies change less often than the code: they are a layer of their own.
COPY requirements/build.lock requirements/runtime.lock requirements/
RUN /opt/build/bin/pip install --require-hashes -r requirements/build.lock
RUN /opt/bullq/bin/pip install --require-hashes -r requirements/runtime.lock
COPY pyproject.toml README.md LICENSE ./
COPY bullq bullq
COPY cli cli
COPY lua lua
RUN /opt/build/bin/pip wheel --no-build-isolation --no-deps --wheel-dir dist .
RUN /opt/bullq/bin/pip install --no-deps --no-index dist/*.whl
# The root of the container is read-only: what is not compiled now never will be.
RUN /opt/bullq/bin/python -m compileall -q /opt/bullq/lib

FROM python:3.11-slim
# A fixed number, so that volumes and Kubernetes' runAsNonRoot can name it.
RUN groupadd --system --gid 10001 bullq && useradd --system --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent bullq
COPY --from=builder /opt/bullq /opt/bullq
COPY examples/shop /app/examples/shop
WORKDIR /app
ENV PATH=/opt/bullq/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    BULLQ_APP=examples.shop.jobs \
    BULLQ_HEARTBEAT_FILE=/tmp/bullq-heartbeat
USER 10001:10001
# The worker's first SIGTERM starts the drain; SIGKILL follows after the stop grace period.
STOPSIGNAL SIGTERM
# Alive means making progress: the worker touches the file when Redis answers, once a second at most.
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
    CMD ["sh", "-c", "test -n \"$(find \"$BULLQ_HEARTBEAT_FILE\" -mmin -1 2>/dev/null)\""]
# Exec form: bullq is PID 1 and gets the signals itself.
ENTRYPOINT ["bullq"]
CMD ["worker", "--queue", "default"]
