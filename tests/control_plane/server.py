"""The fake project behind HTTP, so that the real gcloud can call it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

# Each of these modules adds the methods of its API.
from tests.control_plane import buckets, functions, monitoring, policies, services  # noqa: F401
from tests.control_plane.errors import ApiError
from tests.control_plane.project import FakeProject

APIS = (
    "artifactregistry",
    "bigquery",
    "cloudbilling",
    "cloudbuild",
    "cloudfunctions",
    "cloudkms",
    "cloudresourcemanager",
    "cloudscheduler",
    "eventarc",
    "iam",
    "logging",
    "monitoring",
    "pubsub",
    "run",
    "serviceusage",
)
"""The APIs whose addresses gcloud takes from variables; Cloud Storage has another form."""


@contextmanager
def serving(project: FakeProject) -> Iterator[str]:
    """Serve ``project`` on a free port of this machine; yield its URL."""

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            url = urlsplit(self.path)
            _, api, path = unquote(url.path).split("/", 2)
            path = path.removeprefix("v1/") if api == "storage" else path
            length = int(self.headers.get("Content-Length") or 0)
            content = self.rfile.read(length)
            query = dict(parse_qsl(url.query)) | {"host": f"http://{self.headers['Host']}"}
            is_json = content[:1] == b"{"
            try:
                status, answer = (
                    200,
                    project.call(self.command, api, path, query, json.loads(content) if is_json else {}),
                )
            except ApiError as error:
                status, answer = error.code, error.body()
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json; charset=UTF-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815

        def log_message(self, *arguments: object) -> None:
            """Log nothing: the project records the calls."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def gcloud_environment(url: str, folder: Path) -> dict[str, str]:
    """Return the variables with which gcloud calls the project at ``url``; its settings are in ``folder``."""
    addresses = {f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{api.upper()}": f"{url}/{api}/" for api in APIS}
    return addresses | {
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE": f"{url}/storage/v1/",
        "CLOUDSDK_CONFIG": str(folder),
        "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
        "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "true",
        "CLOUDSDK_SURVEY_DISABLE_PROMPTS": "true",
        "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "true",
        "CLOUDSDK_CORE_SHOW_STRUCTURED_LOGS": "never",
    }
