"""The rules for the requests of a batch, each with its source, and what a check of an input finds.

A finding counts the requests that break a rule and says where the first ones are. It never quotes a request, which holds data
of users.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from shared.errors import Problem

_BATCHES = "https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/capabilities/batch-inference"
_TABLES = f"{_BATCHES}/new-job-from-bigquery"
_FILES = f"{_BATCHES}/new-job-from-cloud-storage"
# The page about the kind of the input: a table, or files.
_INPUT = ""
_REQUESTS = "https://docs.cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference"
_EMBEDDINGS = (
    "https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/embeddings/batch-prediction-genai-embeddings"
)
_COLUMN_NAMES = "https://docs.cloud.google.com/bigquery/docs/schemas#column_names"
_PARTITIONS = "https://docs.cloud.google.com/bigquery/docs/managing-partitioned-table-data"
_SCHEMAS = "https://docs.cloud.google.com/bigquery/docs/schemas"
_LOADED_JSON = "https://docs.cloud.google.com/bigquery/docs/loading-data-cloud-storage-json"

# A larger input needs several jobs.
MOST_REQUESTS = 200_000
MOST_FILE_BYTES = 1024**3
# How many places of a finding are kept and published.
PLACES = 5
# How many findings the text of a problem has.
_SHOWN = 5


class Requests(StrEnum):
    """The kinds of requests that a batch may hold."""

    GENERATE = "generate"
    """GenerateContentRequest, for Gemini."""
    EMBED = "embed"
    """EmbedContentRequest, for Gemini's embedding models; JSONL only."""
    TEXT_EMBEDDING = "text_embedding"
    """A text in the field or column ``content``, for the text-embedding models."""


# How many requests one job takes.
LIMITS: Mapping[Requests, int] = {
    Requests.GENERATE: MOST_REQUESTS,
    Requests.EMBED: 1_000_000,
    Requests.TEXT_EMBEDDING: 30_000,
}


@dataclass(frozen=True)
class Rule:
    """A rule that an input can break."""

    text: str
    """What is wrong, after "3 of 10 requests"."""
    right: str
    """What would be right."""
    source: str
    """The page that says so; empty for the page about the kind of the input."""
    field: str | None = None
    """The field of the batch request that it is about; None for the input."""


_OUTPUT = "output"

# Requests are checked in this order; only the first rule that a request breaks is counted.
RULES: Mapping[str, Rule] = {
    "empty_request": Rule("are NULL or empty", "leave out such rows", _INPUT),
    "not_json": Rule("are not JSON", "write each request as one JSON object", _INPUT),
    "not_an_object": Rule("are JSON, but not an object", "write each request as one JSON object", _INPUT),
    "no_request": Rule("have no object in the field request", 'write {"request": {"contents": [...]}}', _FILES),
    "unknown_field": Rule(
        "have a field that does not exist",
        "compare the names with those of GenerateContentRequest; temperature and the like belong in generationConfig",
        _REQUESTS,
    ),
    "cached_content": Rule("use a context cache, which a batch does not support", "leave out cachedContent", _BATCHES),
    "no_contents": Rule("have no contents", 'write "contents": [{"role": "user", "parts": [...]}]', _REQUESTS),
    "wrong_role": Rule("have a content without a valid role", 'write "role": "user" or "role": "model"', _REQUESTS),
    "no_parts": Rule("have a content without parts", 'write "parts": [{"text": "..."}]', _REQUESTS),
    "empty_part": Rule("have an empty text, or a part with nothing in it", "leave out empty texts", _REQUESTS),
    "several_data": Rule(
        "have a part with more than one of text, fileData, inlineData and the like", "write each as a part", _REQUESTS
    ),
    "wrong_uri": Rule(
        "name a file that is neither in Cloud Storage nor a public YouTube video",
        "write gs://bucket/path or https://www.youtube.com/watch?v=...",
        _INPUT,
    ),
    "no_mime_type": Rule(
        "name a file without its MIME type", 'write "mimeType": "image/png" beside each fileUri', _REQUESTS
    ),
    "wrong_inline_data": Rule(
        "have inlineData without its MIME type, or without data in base64",
        'write "inlineData": {"mimeType": "image/png", "data": "..."}',
        _REQUESTS,
    ),
    "empty_instruction": Rule(
        "have a system instruction without a text",
        'write "systemInstruction": {"parts": [{"text": "..."}]}, or leave it out',
        _REQUESTS,
    ),
    "retrieval": Rule("use retrieval (RAG), which a batch does not support", "leave out the tool", _BATCHES),
    "unknown_config_field": Rule(
        "have a field in generationConfig that does not exist",
        "compare the names with those of GenerationConfig",
        _REQUESTS,
    ),
    "wrong_type": Rule("have a field of a wrong type", "compare the types with those of the API", _REQUESTS),
    "wrong_enum": Rule("have a value that its field does not have", "use one of the published values", _REQUESTS),
    "out_of_range": Rule("have a number outside its range", "use a number within the published range", _REQUESTS),
    "missing_field": Rule("lack a value that another one needs", "write it, or leave the other one out", _REQUESTS),
    "invalid_field": Rule("have values that contradict each other", "correct them, or leave one out", _REQUESTS),
    "no_content": Rule("have no content to embed", 'write "content": a text, or an object with parts', _EMBEDDINGS),
    "repeated_field": Rule("have a field twice", "leave one of them out", _REQUESTS),
    "reserved_field": Rule("have a field whose name the answers need", "give it another name", _INPUT),
    "other_case": Rule(
        "have a field whose name another line writes in another case", "write it in the same way in each line", _INPUT
    ),
    "wrong_field_name": Rule(
        "have a field whose name no column of BigQuery can have",
        "rename it, or let the output be a folder in Cloud Storage",
        _COLUMN_NAMES,
    ),
    "empty_object": Rule(
        "have a field with an empty object, which BigQuery does not load into a table",
        "leave it out, or let the output be a folder in Cloud Storage",
        _LOADED_JSON,
    ),
    "no_key": Rule(
        "have no value for the key", "give each request a value in each column of output.key", _INPUT, "output.key"
    ),
    "key_type": Rule(
        "have a key that is not a string, a whole number or a boolean, or that is of another type than in other lines",
        "write all of its values as strings",
        _INPUT,
        "output.key",
    ),
    "repeated_key": Rule(
        "have the same key as another request",
        "give each request a key of its own, or let output.write be append",
        _INPUT,
        "output.key",
    ),
    # Rules for the columns that the answers repeat.
    "wrong_partition": Rule(
        "do not belong to the partition of the output",
        "leave them out, or let the output be the whole table",
        _PARTITIONS,
        _OUTPUT,
    ),
    "null_value": Rule(
        "are NULL in a column that the output requires",
        "leave them out, or let the column of the output be NULL",
        _SCHEMAS,
        _OUTPUT,
    ),
    "long_value": Rule(
        "have a value that is too long for the output",
        "make the value shorter, or the column of the output longer",
        _SCHEMAS,
        _OUTPUT,
    ),
    # Rules for a whole input.
    "no_requests": Rule("there are none", "write at least one request", _INPUT),
    "too_many_requests": Rule("have more requests than one job takes", "send them in several batches", _BATCHES),
    "no_such_file": Rule("do not exist", "correct the names, or upload the files", _FILES),
    "byte_order_mark": Rule("begin with a byte order mark", "save them as UTF-8 without it", _FILES),
    "compressed": Rule("are compressed", "upload JSONL as it is, without gzip", _FILES),
    "too_large": Rule("are larger than 1 GB", "split them", _FILES),
}


@dataclass(frozen=True)
class Finding:
    """A rule that requests or files of an input break."""

    rule: str
    """A name in ``RULES``."""
    count: int
    """How many requests or files break it."""
    places: tuple[str, ...] = ()
    """Where the first ones are: "row 3", or "gs://bucket/a.jsonl line 7"."""
    hint: str = ""
    """More about the rule: the published name of a message or a field."""
    subject: str = "requests"
    """What is counted: ``requests`` or ``files``."""

    def text(self, total: int, right: str | None = None) -> str:
        """Return the finding as a part of a sentence.

        Args:
            total: How many requests or files there are.
            right: What would be right for this input; None for what the rule says.
        """
        rule = RULES[self.rule]
        about = f" ({self.hint})" if self.hint else ""
        more = ", ..." if self.count > len(self.places) else ""
        places = f"; see {', '.join(self.places)}{more}" if self.places else ""
        if self.rule == "no_requests":
            return f"the input has no requests: {rule.right}{places}"
        return f"{self.count:,} of {total:,} {self.subject} {rule.text}{about}: {right or rule.right}{places}"


@dataclass(frozen=True)
class InputCheck:
    """What a check of a whole input found."""

    requests: int
    characters: int
    """The characters of all texts: of contents and of system instructions."""
    files: int
    """How many files the requests name."""
    findings: tuple[Finding, ...]
    answer_tokens: int | None = None
    """The sum of ``maxOutputTokens``; None if a request has none."""
    input_files: int = 0
    """How many files the input has itself; 0 for a table."""
    columns: tuple[tuple[str, str], ...] = ()
    """The fields of the lines of files with the SQL types of their values, the request too."""

    def problem(self, field: str, rights: Mapping[str, str] = {}) -> Problem | None:
        """Return the problem to report; None if no rule is broken.

        Args:
            field: The field of the batch request that names the input.
            rights: What would be right for this input, by rule, if it is not what the rule says.
        """
        if not self.findings:
            return None
        totals = {"requests": self.requests, "files": self.input_files}
        texts = [finding.text(totals[finding.subject], rights.get(finding.rule)) for finding in self.findings[:_SHOWN]]
        if len(self.findings) > _SHOWN:
            texts.append(f"{len(self.findings) - _SHOWN} more rules are broken")
        first = RULES[self.findings[0].rule]
        source = first.source or (_FILES if self.input_files else _TABLES)
        return Problem(self.findings[0].rule, f"{'; '.join(texts)}. See {source}", first.field or field)


def sorted_findings(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return findings about files first, then those about most requests."""
    order = list(RULES)
    return tuple(
        sorted(findings, key=lambda each: (each.subject == "requests", -each.count, order.index(each.rule), each.hint))
    )
