# The image of MCP Docker Server with OAuth 2.1: `docker compose up -d`, or
# docker build -t mcp-docker-server . && docker run -p 8000:8000 -v oauth-data:/data mcp-docker-server

FROM python:3.13-slim AS build
COPY requirements.lock /build/
# Only wheels that have the locked hashes; nothing is compiled, so no build tools are needed.
RUN python3 -m venv /opt/venv \
 && /opt/venv/bin/python -m pip install --no-cache-dir --only-binary :all: --require-hashes -r /build/requirements.lock \
 && /opt/venv/bin/python -m pip uninstall --yes pip \
 && find /opt/venv -name tests -path '*site-packages*' -prune -exec rm -rf {} +
COPY server.py /app/
COPY oauth_server /app/oauth_server
COPY oauth_tools /app/oauth_tools
COPY well_known /app/well_known
RUN /opt/venv/bin/python -m compileall -q /app /opt/venv

FROM python:3.13-slim
LABEL org.opencontainers.image.title="MCP Docker Server with OAuth 2.1" \
      org.opencontainers.image.licenses="MIT"
# /data belongs to the one user that runs here; everything else is root's and never written.
RUN groupadd --gid 10001 mcp && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data mcp \
 && install -d -o mcp -g mcp -m 0700 /data
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MCP_HOST=0.0.0.0 \
    MCP_OAUTH_DATABASE_URL=sqlite:////data/oauth.db
USER mcp
WORKDIR /app
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=3s --start-period=15s --retries=3 \
  CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ.get('MCP_PORT', '8000') + '/healthz', timeout=2)"]
ENTRYPOINT ["python", "server.py"]
