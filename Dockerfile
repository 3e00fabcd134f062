# The image of docker-compose.yml; it also runs alone, on SQLite in /data:
#   docker build -t patchsift .
#   docker run --rm --init -p 127.0.0.1:8642:8642 -v patchsift:/data patchsift
# It prints a link that works once and makes the first administrator.
# On arm64 there is no wheel with a SQLite that holds the WAL-reset fix, and Debian's has the fault: there Patchsift
# refuses SQLite, and PATCHSIFT_DATABASE_URL must name a PostgreSQL.

FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY app app
COPY templates templates
COPY static static
RUN python -m venv /opt/patchsift && /opt/patchsift/bin/pip install --no-cache-dir ".[postgres,metrics]"

FROM python:3.13-slim
RUN useradd --uid 1000 --no-create-home --shell /usr/sbin/nologin patchsift \
    && install --directory --owner=1000 --group=1000 /data /backups
COPY --from=build /opt/patchsift /opt/patchsift
ENV PATH=/opt/patchsift/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PATCHSIFT_DATA_DIR=/data \
    PATCHSIFT_HOST=0.0.0.0 \
    PATCHSIFT_PORT=8642
USER 1000:1000
VOLUME /data
EXPOSE 8642
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["patchsift", "healthcheck"]
ENTRYPOINT ["patchsift"]
CMD ["serve", "--no-open"]
