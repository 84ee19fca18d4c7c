"""The whole local cloud: creates the services, routes requests to them, and starts and stops everything in order."""

from __future__ import annotations

import contextlib
import re
import secrets
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from starlette.responses import JSONResponse

from declaration.reading import read_declaration
from localcloud.apis.recorder import Recorder
from localcloud.base.api_errors import error_body
from localcloud.base.asgi import ASGIApp, Receive, Scope, Send
from localcloud.base.credentials import Credentials
from localcloud.base.http import HOST, HttpServer, ReservedPort
from localcloud.config import CloudConfig
from localcloud.control import Control
from localcloud.environment import (
    ACCESS_TOKEN_FILE,
    Addresses,
    client_environment,
    declared_settings,
    function_environment,
)
from localcloud.faults.active import Faults
from localcloud.faults.deliveries import RuleDeliveryFaults
from localcloud.faults.jobs import JobFaults
from localcloud.faults.quotas import Quotas
from localcloud.front.call_log import Calls
from localcloud.front.callers import Callers
from localcloud.front.front import Front
from localcloud.functions.janitor import Janitor
from localcloud.functions.processes import Functions
from localcloud.functions.settings_check import checked_environment
from localcloud.pubsub.service import PubSub
from localcloud.storage.service import Storage

# The service of each path on the shared HTTP port: the first pattern that matches. BigQuery has its own port.
ROUTES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), service)
    for pattern, service in (
        (r"/((upload|download|batch|resumable)/)?storage(/|$)|/resumable|/retry_tests?(/|$)", "storage"),
        (r"/v1(beta1)?/projects/[^/]+/locations/[^/]+/jobs(/|$)", "scheduler"),
        (r"/v1/projects/[^/]+/(topics|subscriptions|snapshots|schemas)(/|:|$)", "pubsub"),
        (r"/((upload/)?v1(beta1)?|ui|localcloud/vertex)/", "vertex"),
        (r"/token$", "token"),
        (r"/(faults|quotas|calls)?$", "control"),
    )
)
# Google's client for Node.js adds the paths of the JSON API to STORAGE_EMULATOR_HOST, without the version before them.
_WITHOUT_VERSION = re.compile(r"/b(/|$)|/projects/[^/]+/(hmacKeys|serviceAccount)(/|$)")
# Cloud Storage writes the bodies of these requests to disk while they arrive: uploads of the JSON API, and objects and
# forms of the XML API, whose paths begin with the name of a bucket.
_OF_OTHERS = "upload|download|batch|resumable|storage|v1|v1beta1|ui|localcloud|token|faults|quotas|calls|retry_tests?"
STORAGE_UPLOADS = re.compile(
    rf"(/resumable)?/upload/storage/|/(?!({_OF_OTHERS})(/|$))[a-z0-9][a-z0-9._-]+[a-z0-9](/|$)"
)


class LocalCloud:
    """Google Cloud on one machine: every service, the declared resources and, if configured, the functions."""

    def __init__(self, config: CloudConfig) -> None:
        """Read the declaration; raise ``DeclarationError`` if it is wrong."""
        self.config = config
        self.id = secrets.token_hex(8)
        self.declaration = read_declaration(config.declaration, project=config.project)
        self.state = "stopped"
        self._functions_to_run = self.declaration.functions if config.with_functions else {}
        self.faults = Faults(
            callers=list(self._functions_to_run),
            receivers=[name for name, function in self._functions_to_run.items() if function.is_called_by_events],
        )
        self.calls = Calls()
        self._undo = contextlib.ExitStack()
        self._apps: dict[str, ASGIApp] = {}

    def start(self) -> None:
        """Start everything and return once every service and function answers.

        After an error, everything that was started is stopped.

        Raises:
            FunctionStartError: A function did not start.
            SettingsError: A setting of the functions is wrong.
            OSError: A port is in use.
        """
        self.state = "starting"
        with contextlib.ExitStack() as undo:
            # Everything is stopped in reverse order, also when a later part does not start.
            self._prepare(undo)
            # The functions take longest to start. They do so while the services are created here.
            self.functions.start(self._function_environment())
            self._build_services(undo)
            self._provision()
            self._serve_all(undo)
            self._undo = undo.pop_all()
        self.state = "running"

    def stop(self) -> None:
        """Stop everything, and delete the data unless there is a data directory."""
        self.state = "stopping"
        self._undo.close()
        self.state = "stopped"

    def environment(self) -> dict[str, str]:
        """Return the variables that clients need to use this local cloud; ``python -m localcloud env`` prints them."""
        return client_environment(
            self.config,
            self.declaration,
            self.addresses,
            self._key_file,
            cloud_id=self.id,
            storage_read=f"{HOST}:{self.bigquery.storage_api_port}",
            function_urls=self.functions.urls(),
            gcloud_folder=self._gcloud_folder,
        )

    def describe(self) -> dict[str, Any]:
        """Return the state and the addresses of all services and functions."""
        return {
            "id": self.id,
            "state": self.state,
            "project": self.config.project,
            # As `runtime` in the declaration.
            "runtime": f"python{sys.version_info.major}{sys.version_info.minor}",
            "services": {
                "storage": self.addresses.http,
                "pubsub": self.addresses.pubsub,
                "bigquery": self.addresses.bigquery,
                "bigquery-storage": f"{HOST}:{self.bigquery.storage_api_port}",
                "vertex": self.addresses.http,
                "scheduler": self.addresses.http,
            },
            "functions": {
                name: {
                    "url": process.url,
                    "pid": process.pid,
                    "declared": process.function.model_dump(mode="json"),
                }
                for name, process in self.functions.processes.items()
            },
        }

    def _function_environment(self) -> dict[str, str]:
        """Return the variables of the functions, after their settings are checked."""
        config, declaration = self.config, self.declaration
        environment = function_environment(config, declaration, self.addresses, self._key_file)
        if declaration.settings_module is None or not self._functions_to_run:
            return environment
        # A caller may also replace the address of a service, which is not a setting.
        without = function_environment(
            replace(config, function_environment={}), declaration, self.addresses, self._key_file
        )
        names = {*declared_settings(declaration), *(config.function_environment.keys() - without)}
        return checked_environment(declaration.settings_module, config.source, environment, names)

    def _prepare(self, undo: contextlib.ExitStack) -> None:
        """Create what the services and the functions depend on: the data directory, ports and credentials."""
        config = self.config
        janitor = Janitor()
        undo.callback(janitor.close)
        self.data_dir = self._make_data_dir(janitor)
        bigquery_port, pubsub_port = ReservedPort(config.bigquery_port), ReservedPort(config.pubsub_port)
        undo.callback(bigquery_port.release)
        undo.callback(pubsub_port.release)
        self._server = HttpServer(
            self._route,
            port=config.http_port,
            name="services",
            host_names=config.host_names,
            streamed=STORAGE_UPLOADS,
        )
        undo.callback(self._server.stop)
        self.addresses = Addresses(
            http=self._server.url,
            bigquery=f"http://{HOST}:{bigquery_port.number}",
            pubsub=f"{HOST}:{pubsub_port.number}",
        )
        self._ports = {"bigquery": bigquery_port.number, "pubsub": pubsub_port.number}
        self.credentials = Credentials(
            project=config.project,
            account=self.declaration.accounts["runtime"].id,
            token_uri=f"{self.addresses.http}/token",
            clock=config.clock,
        )
        self._key_file = self.data_dir / "service-account.json"
        self.credentials.write(self._key_file)
        self._gcloud_folder = self.data_dir / "gcloud"
        self._gcloud_folder.mkdir(exist_ok=True)
        (self._gcloud_folder / ACCESS_TOKEN_FILE).write_text("local\n", encoding="utf-8")
        self.functions = Functions(
            self._functions_to_run,
            source=config.source,
            data_dir=self.data_dir,
            clock=config.clock,
            janitor=janitor,
            logs=config.logs,
            host_names=config.host_names,
        )
        undo.callback(self.functions.stop)

    def _build_services(self, undo: contextlib.ExitStack) -> None:
        """Create the services, without serving them."""
        from localcloud.bigquery.server import BigQuery
        from localcloud.eventarc.notifications import publish_notifications
        from localcloud.eventarc.service import Eventarc
        from localcloud.gemini.backends import backend_from
        from localcloud.gemini.models import MODELS, models_from
        from localcloud.scheduler.service import Scheduler
        from localcloud.vertex.service import Vertex

        config = self.config
        clock, project = config.clock, config.project
        kept = self.data_dir if config.data_dir is not None else None
        self.recorder = Recorder(config.record_to) if config.record_to is not None else None
        if self.recorder is not None:
            undo.callback(self.recorder.close)
        self.front = Front(
            faults=self.faults,
            calls=self.calls,
            callers=Callers(self.functions.pids),
            kill=self.functions.kill,
            clock=clock,
            recorder=self.recorder,
        )
        undo.callback(self.front.stop)
        backend = backend_from(config.gemini_backend, config.gemini_echo)
        models = MODELS if config.gemini_models is None else models_from(config.gemini_models)
        self.storage = Storage(
            self.data_dir / "storage",
            clock=clock,
            project=project,
            verify=self.credentials.verify,
            account=self.credentials.email,
            has_topic=lambda name: self.pubsub.broker.has_topic(name),
            retry_tests=config.with_retry_tests,
        )
        undo.callback(self.storage.close)
        self.pubsub = PubSub(
            clock=clock,
            project=project,
            directory=kept and kept / "pubsub",
            delivery_faults=RuleDeliveryFaults(self.faults, self._receiver_of),
        )
        undo.callback(self.pubsub.stop)
        self.bigquery = BigQuery(
            clock=clock,
            project=project,
            store=self.storage.store,
            directory=kept and kept / "bigquery",
            backend=backend,
            gemini_models=models,
            wrap=lambda app: self.front.wrap(app, "bigquery"),
            before_job=JobFaults(self.faults, clock).before,
            account_of=self.credentials.account_of,
            host_names=config.host_names,
        )
        undo.callback(self.bigquery.stop)
        self.vertex = Vertex(
            clock=clock,
            learning=self.bigquery.learning,
            tables=self.bigquery.tables,
            store=self.storage.store,
            backend=backend,
            models=models,
            directory=kept and kept / "vertex",
        )
        self.eventarc = Eventarc(
            self.pubsub.broker, self.storage.store, clock=clock, project=project, location=config.location
        )
        publish_notifications(self.storage.store, self.pubsub.broker)
        self.scheduler = Scheduler(self.pubsub.broker, clock=clock)
        self.quotas = Quotas(self.storage, self.bigquery)
        fronted = {
            "storage": self.storage.app,
            "scheduler": self.scheduler.app,
            "pubsub": self.pubsub.app,
            "vertex": self.vertex.app,
        }
        # The control endpoints have no faults, otherwise faults could not be removed. Token requests are not service calls.
        control = Control(self.faults, self.calls, self.quotas, self.describe)
        self._apps = {
            "control": control.app,
            "token": self.credentials.app,
            **{service: self.front.wrap(app, service) for service, app in fronted.items()},
        }

    def _provision(self) -> None:
        """Create the declared resources before a request can need them."""
        from localcloud import provisioning

        config, declaration = self.config, self.declaration
        provisioning.create_buckets(declaration, self.storage.store, project=config.project, location=config.location)
        provisioning.create_topics(declaration, self.pubsub.broker, project=config.project)
        if config.with_functions:
            urls = self.functions.urls()
            provisioning.connect_triggers(declaration, config, self.eventarc, urls)
            provisioning.create_schedules(declaration, config, self.scheduler, urls)
        self.bigquery.seed_connection(f"{config.project}.{provisioning.SAMPLE_CONNECTION}")
        if config.with_samples:
            provisioning.create_sample_tables(self.bigquery)
            provisioning.create_sample_objects(self.storage.store)

    def _serve_all(self, undo: contextlib.ExitStack) -> None:
        """Serve everything; wait for the functions before events are delivered to them."""
        self.bigquery.start(self._ports["bigquery"])
        self.storage.start()
        self.vertex.start()
        undo.callback(self.vertex.stop)
        self._server.start()
        undo.callback(self._server.stop)  # before the services that it routes to
        undo.callback(self.functions.stop)  # before everything that they call
        self.functions.wait_until_ready()
        self.pubsub.start(self._ports["pubsub"], interceptors=[self.front.interceptor(lambda: self.pubsub.port)])
        if self.config.with_schedules:
            self.scheduler.start()
            undo.callback(self.scheduler.stop)

    def _make_data_dir(self, janitor: Janitor) -> Path:
        if self.config.data_dir is not None:
            self.config.data_dir.mkdir(parents=True, exist_ok=True)
            return self.config.data_dir.resolve()
        folder = Path(tempfile.mkdtemp(prefix="localcloud-"))
        janitor.remove(folder)
        return folder

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request to the service that its path belongs to."""
        if _WITHOUT_VERSION.match(scope["path"]):
            before = "/storage/v1"
            scope = {**scope, "path": before + scope["path"], "raw_path": before.encode() + scope["raw_path"]}
        for pattern, service in ROUTES:
            if pattern.match(scope["path"]):
                await self._apps[service](scope, receive, send)
                return
        if self.storage.is_xml_request(scope["method"], scope["path"]):
            await self.storage.xml_app(scope, receive, send)
            return
        problem = f"No service has the path {scope['path']}, and Cloud Storage has no such bucket."
        body = error_body(404, problem, reason="notFound")
        await JSONResponse(body, status_code=404)(scope, receive, send)

    def _receiver_of(self, subscription: str) -> str | None:
        """Return the function that gets the events of ``subscription``."""
        for name, function in self.declaration.functions.items():
            if subscription == self.eventarc.subscription_name(function.service):
                return name
        return None
