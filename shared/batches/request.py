"""The batch request, checked as far as it can be without calling a service.

https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/capabilities/batch-inference
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.batches.addresses import Files, ObjectUri, read_files, read_folder, read_place
from shared.batches.inputs.files import FileColumn
from shared.batches.inputs.files import read_files as file_columns
from shared.batches.inputs.gemini_messages import value_of
from shared.batches.inputs.generation import check_generation_config, check_response_schema, config_with_schema
from shared.batches.inputs.rules import Requests
from shared.batches.typed.results import Results, read_results
from shared.checks.fields import Fields
from shared.checks.identifiers import (
    PROJECT,
    DatasetName,
    TableName,
    check_column,
)
from shared.checks.labels import read_labels, read_request_id
from shared.checks.query_guard import LONGEST_QUERY, check_query
from shared.cloud.locations import check_location, location_in
from shared.cloud.publisher_models import DEFAULT_MODEL, is_gemini_embedding, is_text_embedding
from shared.errors import Rejected
from shared.settings import Settings

# The id of a publisher's model, or the resource name of a publisher's or a tuned model. No part of it can be `..`, because
# services put the name into addresses.
_LOCATION = rf"projects/(?:{PROJECT}|[0-9]{{1,20}})/locations/[a-z0-9-]+"
_MODEL = re.compile(
    r"[a-z0-9][a-z0-9._-]{0,127}"
    rf"|(?:{_LOCATION}/)?publishers/[a-z0-9-]+/models/[A-Za-z0-9][A-Za-z0-9._@-]*"
    rf"|{_LOCATION}/models/[A-Za-z0-9][A-Za-z0-9_@-]*"
)
DEFAULT_RETRIES, MOST_RETRIES = 1, 5
# The fields of an input of prompts.
_PROMPT_FIELDS = ("prompts", "system_instruction", "generation_config", "response_schema")
WRITES = ("empty", "append", "truncate", "merge")


@dataclass(frozen=True)
class Prompts:
    """Requests to build from the rows of a query that has a column ``prompt``."""

    query: str
    system_instruction: str | None
    generation_config: str | None
    """Gemini's GenerationConfig as JSON text."""
    files: tuple[FileColumn, ...] = ()
    """The columns of the query that hold addresses of files."""


@dataclass(frozen=True)
class Output:
    """Where the answers go, and what happens to the rows that are there."""

    place: TableName | DatasetName | ObjectUri
    """A table, a dataset for a new table, or a folder in Cloud Storage."""
    write: str = "empty"
    """For a table: ``empty``, ``append``, ``truncate`` or ``merge``."""
    key: tuple[str, ...] = ()
    """With ``write`` merge: the columns that identify a row."""


@dataclass(frozen=True)
class BatchRequest:
    """One Gemini batch."""

    model: str
    """The model's resource name, as Vertex AI takes it."""
    input: TableName | Files | Prompts
    output: Output | None
    """Where to write the answers; None: a default that depends on the input."""
    request_id: str | None
    display_name: str
    labels: tuple[tuple[str, str], ...]
    location: str
    """Where the batch runs: `global`, `us`, `eu` or a region."""
    retries: int = DEFAULT_RETRIES
    """How often rows that failed for a passing reason are sent again."""
    results: Results | None = None
    """The table of typed results; None if the answers are not taken apart."""
    dry_run: bool = False
    """Whether the requests are only checked and counted."""

    @property
    def kind(self) -> Requests:
        """What the requests are, which depends on the model."""
        return _kind_of(self.model)

    @property
    def key(self) -> tuple[str, ...]:
        """The columns by which the answers are merged; none if they are not."""
        return self.output.key if self.output else ()

    def check_kind(self) -> None:
        """Raise ``Rejected`` if the model does not take such an input, or does not write such an output.

        https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/embeddings/batch-prediction-genai-embeddings
        """
        name = self.model.rpartition("/")[2]
        if self.kind is Requests.EMBED and not isinstance(self.input, Files):
            problem, field = "take files of JSONL: gs://bucket/file.jsonl", "input"
        elif self.kind is Requests.EMBED and self.output is not None and not isinstance(self.output.place, ObjectUri):
            problem, field = "write their answers into Cloud Storage: gs://bucket/folder", "output"
        elif self.kind is Requests.TEXT_EMBEDDING and isinstance(self.input, Prompts):
            problem, field = "take a table with a column content, or files of JSONL", "input"
        elif self.kind is not Requests.GENERATE and self.results is not None:
            raise Rejected(
                "results are for answers with texts, not for embeddings", field="results", code="invalid_field"
            )
        else:
            return
        raise Rejected(f"batches of {name} {problem}", field=field, code=f"wrong_{field}")

    @classmethod
    def parse(cls, payload: Mapping[str, object], settings: Settings, published: datetime) -> BatchRequest:
        """Read a request that was sent at ``published``.

        Raises:
            Rejected: A field is wrong; the error names the first one.
        """
        fields = Fields(payload)
        model = fields.text("model", longest=512)
        if not _MODEL.fullmatch(model):
            raise fields.wrong("model", f"is {model[:80]!r}; write {DEFAULT_MODEL} or a model's resource name")
        input_ = _input(fields, settings)
        request = cls(
            model=model if "/" in model else f"publishers/google/models/{model}",
            input=input_,
            output=_output(fields, settings),
            request_id=read_request_id(fields, published),
            display_name=fields.optional_text("display_name", longest=128) or "modeldrop",
            labels=read_labels(fields),
            location=_location(fields, model, settings),
            retries=_retries(fields, model),
            results=read_results(fields, _response_schema(input_), settings),
            dry_run=fields.switch("dry_run"),
        )
        for name in _PROMPT_FIELDS:
            if fields.has(name):
                raise fields.wrong(name, "belongs in input, beside prompts", code="unknown_field")
        fields.reject_unknown()
        request.check_kind()
        return request


def _kind_of(model: str) -> Requests:
    name = model.rpartition("/")[2]
    if is_gemini_embedding(name):
        return Requests.EMBED
    return Requests.TEXT_EMBEDDING if is_text_embedding(name) else Requests.GENERATE


def _retries(fields: Fields, model: str) -> int:
    given = fields.optional_whole("retries", least=0, most=MOST_RETRIES)
    if _kind_of(model) is Requests.EMBED:
        if given:
            name = model.rpartition("/")[2]
            raise fields.wrong(
                "retries",
                f"is {given}, and rows of {name} are not sent again, because Vertex AI takes its requests from whole files "
                "only: leave it out, and send the lines that failed in a file of their own",
            )
        return 0
    return DEFAULT_RETRIES if given is None else given


def _location(fields: Fields, model: str, settings: Settings) -> str:
    """Return where the batch runs. A tuned model runs in its own location, and a model that names one runs there."""
    given, of_model = fields.optional_text("location", longest=64), location_in(model)
    location = check_location(given, fields.path("location")) if given else of_model or settings.vertex_location
    if of_model is not None and of_model != location:
        raise fields.wrong("location", f"is {location}, and the model is in {of_model}; leave location out")
    return location


def _input(fields: Fields, settings: Settings) -> TableName | Files | Prompts:
    given = fields.plain_or_text("input")
    if isinstance(given, list) and given:
        for index, each in enumerate(given):
            if isinstance(each, dict):
                raise fields.wrong(
                    f"input[{index}]", "is an object; write requests into a table or a file, and name that"
                )
        return read_files(fields.texts("input"), "input", settings, is_list=True)
    if not fields.has("input") or isinstance(given, str):
        text = fields.text("input", longest=2048)
        if text.startswith("bq://"):
            table = TableName.parse(text.removeprefix("bq://"), project=settings.google_cloud_project, field="input")
            if "$" in table.table:
                raise fields.wrong(
                    "input", "is a partition, which a query cannot name: write the table, or a view of it"
                )
            return table
        return read_files((text,), "input", settings)
    example = '"bq://project.dataset.table", "gs://bucket/file.jsonl" or {"prompts": {"query": "SELECT ... AS prompt"}}'
    inputs = fields.nested("input", example=example)
    prompts = inputs.nested("prompts", example=_meant_input(fields.plain("input")))
    query = prompts.text("query", longest=LONGEST_QUERY)
    files = file_columns(prompts)
    prompts.reject_unknown()
    query = check_query(
        query,
        field="input.prompts.query",
        allow_external=settings.allow_external_query,
        allow_ai=settings.allow_ai_functions,
        allow_catalog=not settings.readable_datasets,
    )
    config, response_schema = inputs.plain("generation_config"), inputs.plain("response_schema")
    if config:
        check_generation_config(config, "input.generation_config", has_schema=inputs.has("response_schema"))
    if inputs.has("response_schema"):
        check_response_schema(response_schema, "input.response_schema")
    config = config_with_schema(config or None, response_schema or None) or {}
    instruction = inputs.optional_text("system_instruction", longest=100_000)
    inputs.reject_unknown()
    return Prompts(query, instruction, json.dumps(config, sort_keys=True) if config else None, files)


def _meant_input(inputs: Mapping[str, object]) -> str:
    """Return what to write in place of an object without prompts, as the rest of a sentence."""
    if inputs.get("query"):
        return '{"query": "SELECT ... AS prompt"}; the query belongs in prompts'
    for name, scheme in (("table", "bq://"), ("uri", "gs://")):
        given = inputs.get(name)
        if isinstance(given, str):
            address = f"{scheme}{given[:200].removeprefix(scheme)}"
            return f'the table or file as a string: "input": "{address}"'
    return '{"query": "SELECT ... AS prompt"}; a table or file is a string as input'


def _response_schema(input_: TableName | Files | Prompts) -> Mapping[str, Any] | None:
    """Return the response schema of requests that are built from prompts; None if they have none."""
    if not isinstance(input_, Prompts) or input_.generation_config is None:
        return None
    config = json.loads(input_.generation_config)
    found: Mapping[str, Any] | None = value_of(config, "responseSchema") or value_of(config, "responseJsonSchema")
    return found


def _output(fields: Fields, settings: Settings) -> Output | None:
    if not fields.has("output") or isinstance(fields.plain_or_text("output"), str):
        text = fields.optional_text("output", longest=2048)
        return None if text is None else Output(read_place(text, fields, "output", settings))
    nested = fields.nested("output", example='{"table": "bq://project.dataset.table", "write": "append"}')
    if nested.has("table") == nested.has("uri"):
        problem = f"must have either table or uri{nested.suggestion('table', 'uri')}"
        raise nested.wrong("", problem, code="missing_field")
    if nested.has("uri"):
        uri = nested.text("uri", longest=2048)
        nested.reject_unknown()
        return Output(read_folder(uri, "output.uri", settings))
    text = nested.text("table", longest=2048)
    write = nested.choice("write", WRITES, "empty")
    key = nested.texts("key")
    nested.reject_unknown()
    if text.startswith("gs://"):
        raise nested.wrong("table", "is an address in Cloud Storage; write it as output.uri")
    place = read_place(f"bq://{text.removeprefix('bq://')}", fields, "output.table", settings)
    for index, column in enumerate(key):
        check_column(column, f"output.key[{index}]")
    if (write == "merge") != bool(key):
        raise nested.wrong("key", "goes with write: merge, and is needed for it", code="missing_field")
    if write == "merge" and "$" in str(place):
        raise nested.wrong("table", "is a partition, which merge cannot write; name the table")
    return Output(place, write, key)
