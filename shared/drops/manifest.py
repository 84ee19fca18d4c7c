"""`modeldrop.yaml`: the optional file in a drop's folder that says more than the path does."""

from __future__ import annotations

import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import yaml

from shared.checks.fields import Fields
from shared.checks.identifiers import PROJECT, ModelName, check_column
from shared.checks.labels import read_labels
from shared.checks.registry_rules import read_aliases, read_registry_id
from shared.checks.yaml_lines import line_of
from shared.cloud.publisher_models import DEFAULT_MODEL
from shared.drops import limits
from shared.drops.checks.model_check import ModelCheck
from shared.drops.checks.prediction import check_function, read_prediction
from shared.drops.formats.all_formats import FORMATS
from shared.drops.remote import RemoteModel
from shared.errors import Problem, Rejected, short_reason
from shared.messages.deployment_request import DeploymentRequest

NAME = "modeldrop.yaml"
NAMES = (NAME, "modeldrop.yml")
"""The names that the file can have. Errors use the first one."""

# Names that are meant to be one of these.
_SIMILAR = re.compile(r"model[-_. ]?drops?\.(?:ya?ml|json|toml)(?:\.(?:ya?ml|txt))?", re.IGNORECASE)

MODEL_TYPES = tuple(FORMATS)

# The types that BigQuery accepts for XGBoost: https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-create-xgboost
_INPUT_TYPES = ("INT64", "FLOAT64", "NUMERIC", "BIGNUMERIC")
_OUTPUT_TYPES = ("FLOAT64",)
_KMS_KEY = re.compile(
    rf"projects/{PROJECT}/locations/[a-z0-9-]+/keyRings/[A-Za-z0-9_-]{{1,63}}/cryptoKeys/[A-Za-z0-9_-]{{1,63}}"
)
_CHECK = "{query: SELECT ...}"
_REMOTE = f"{{connection: us.gemini_conn, endpoint: {DEFAULT_MODEL}}}"
# What remote models do not have, and why.
# https://docs.cloud.google.com/bigquery/docs/managing-models-vertex, .../docs/customer-managed-encryption
_NOT_REMOTE = {
    "type": "a remote model has no files",
    "files": "a remote model has no files",
    "input": "the columns of a model over Gemini are fixed",
    "kms_key": "BigQuery encrypts no remote model with a key of yours",
    "registry": "remote models cannot be registered",
    "deploy": "remote models cannot be registered, and so not be deployed",
    "check": "a check compares the outputs of ML.PREDICT, which a model over Gemini does not have",
}
_OPENING = (
    yaml.BlockMappingStartToken,
    yaml.BlockSequenceStartToken,
    yaml.FlowMappingStartToken,
    yaml.FlowSequenceStartToken,
)
_CLOSING = (yaml.BlockEndToken, yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken)
_MERGE_TAG = "tag:yaml.org,2002:merge"
_DURATION = re.compile(r"([0-9]{1,5})\s*(h|d)")


@dataclass(frozen=True)
class Manifest:
    """The content of a `modeldrop.yaml`; every field is optional."""

    target: ModelName | None = None
    """The model that the drop becomes; None: the model of the path."""
    model_type: str | None = None
    description: str | None = None
    labels: tuple[tuple[str, str], ...] = ()
    expires_after: timedelta | None = None
    kms_key: str | None = None
    inputs: tuple[tuple[str, str], ...] = ()
    outputs: tuple[tuple[str, str], ...] = ()
    files: int | None = None
    """The number of files, without `modeldrop.yaml`. A drop that has them all need not settle."""
    registry_id: str | None = None
    registry_aliases: tuple[str, ...] = ()
    check: ModelCheck | None = None
    """What the new model must return before it replaces the one in use."""
    remote: RemoteModel | None = None
    """The remote model that the drop becomes, without files."""
    prediction: Mapping[str, Any] | None = None
    """The predict message to publish after each import, without `model` and `request_id`."""
    deployment: DeploymentRequest | None = None
    """How to deploy each version to an endpoint."""


# What the parser says about a frequent mistake, and what to do.
_MISTAKES = {
    r"found character '\t'": ". YAML has no tabs: use spaces",
    "mapping values are not allowed here": ". Put a text that holds a colon and a space in quotes",
}


def read_manifest(text: bytes, project: str) -> Manifest:
    """Read a `modeldrop.yaml`.

    Raises:
        Rejected: It is not YAML, or a field is wrong; the error names the first one and its line.
    """
    if len(text) > limits.MANIFEST_BYTES:
        raise Rejected(f"{NAME} is larger than {limits.MANIFEST_BYTES} bytes", field=NAME, code="invalid_manifest")
    try:
        decoded = decode(text)
        _check_tokens(decoded)
        value = yaml.load(decoded, _Loader)
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise Rejected(f"{NAME} is not YAML: {_syntax(error)}", field=NAME, code="invalid_manifest") from error
    if value is None:
        return Manifest()
    try:
        _check_keys(value, NAME)
        return _manifest(Fields(value, NAME), project)
    except Rejected as error:
        raise error_with_line(error, decoded) from error


def problem_with_line(problem: Problem, text: str) -> Problem:
    """Return a problem with the line of its field, if it is about a field of the `modeldrop.yaml` that is ``text``."""
    root, _, path = (problem.field or "").partition(f"{NAME}.")
    if root not in {"", NAME} or problem.field is None or problem.message.endswith(f" of {NAME})"):
        return problem
    line = line_of(text, path)
    where = f" (line {line} of {NAME})" if line is not None else ""
    return replace(problem, message=f"{problem.message}{where}")


def error_with_line(error: Rejected, text: str) -> Rejected:
    """Return an error with the line of its field; see ``problem_with_line``."""
    problem = problem_with_line(error.problem, text)
    return Rejected(problem.message, field=problem.field, code=problem.code)


def _check_keys(value: object, path: str) -> None:
    """Raise ``Rejected`` for a key that YAML does not read as a text, such as `2`, `on` or `null`."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            if not isinstance(key, str):
                message = f"{path} has the key {str(key)[:80]}, which YAML does not read as a text: put it in quotes"
                raise Rejected(message, field=path, code="invalid_field")
            _check_keys(each, f"{path}.{key[:80].encode(errors='backslashreplace').decode()}")
    elif isinstance(value, list):
        for index, each in enumerate(value):
            _check_keys(each, f"{path}[{index}]")


def check_name(names: Collection[str]) -> None:
    """Raise ``Rejected`` unless the file has one of ``NAMES``, once.

    Args:
        names: The names of all files at the top of the drop's folder.
    """
    given = [name for name in NAMES if name in names]
    if len(given) > 1:
        raise Rejected(f"the drop holds {' and '.join(given)}: delete one", field=NAME, code="invalid_manifest")
    for name in sorted(names):
        if name not in NAMES and _SIMILAR.fullmatch(name):
            raise Rejected(f"{name} is not read: did you mean {NAME}? Rename it", field=NAME, code="invalid_manifest")


def decode(text: bytes) -> str:
    """Return the text of a `modeldrop.yaml`; raise ``ValueError`` if it is in no encoding of YAML.

    https://yaml.org/spec/1.2.2/#52-character-encodings
    """
    return text.decode("utf-16" if text.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "utf-8-sig")


class _Loader(yaml.SafeLoader):
    """Loads YAML, and refuses a mapping with two equal keys instead of using the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Return the mapping; raise ``Rejected`` if a key repeats, or is a merge key."""
        lines: dict[Hashable, int] = {}
        for key_node, _ in node.value:
            line = key_node.start_mark.line + 1
            if key_node.tag == _MERGE_TAG:
                raise Rejected(f"{NAME} merges a mapping (<<) in line {line}", field=NAME, code="invalid_manifest")
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                continue  # refused by the base class
            if key in lines:
                raise Rejected(
                    f"{NAME} has the key {str(key)[:80]!r} in line {lines[key]} and again in line {line}",
                    field=NAME,
                    code="invalid_manifest",
                )
            lines[key] = line
        return super().construct_mapping(node, deep)


# YAML 1.1, which the library reads, takes 1e-4 for a text: https://yaml.org/spec/1.2.2/#10214-floating-point
_EXPONENT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)[eE][-+]?[0-9]+")
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, [*"-+.0123456789"])


def _syntax(error: Exception) -> str:
    """Return where a text is not YAML, and what to do about the two most frequent mistakes."""
    reason = short_reason(error).replace('"<unicode string>", ', "").replace('"<byte string>", ', "")
    advice = next((advice for mistake, advice in _MISTAKES.items() if mistake in reason), "")
    return f"{reason}{advice}"


def _check_tokens(text: str) -> None:
    """Raise ``Rejected`` for aliases, tags, deep nesting and very many tokens, before the text is parsed.

    Aliases can make a small file very large, tags can make the parser fail, and the time for nesting grows with its square.
    """
    depth = 0
    for count, token in enumerate(yaml.scan(text)):
        depth += isinstance(token, _OPENING) - isinstance(token, _CLOSING)
        wrong = None
        if isinstance(token, (yaml.AnchorToken, yaml.AliasToken, yaml.TagToken)):
            wrong = f"uses an anchor (&name), an alias (*name) or a tag (!name) in line {token.start_mark.line + 1}"
        elif depth > limits.MANIFEST_DEPTH:
            wrong = f"is nested more than {limits.MANIFEST_DEPTH} deep"
        elif count > limits.MANIFEST_TOKENS:
            wrong = f"has more than {limits.MANIFEST_TOKENS:,} tokens of YAML"
        if wrong:
            raise Rejected(f"{NAME} {wrong}", field=NAME, code="invalid_manifest")


def _manifest(fields: Fields, project: str) -> Manifest:
    target = fields.optional_text("target")
    registry = fields.optional_nested("registry", example="{id: prices}")
    manifest = Manifest(
        target=ModelName.parse_new(target, project=project, field=f"{NAME}.target") if target else None,
        model_type=fields.choice("type", MODEL_TYPES, "TENSORFLOW") if fields.has("type") else None,
        description=fields.optional_text("description", longest=16_384),
        labels=read_labels(fields),
        expires_after=_duration(fields),
        kms_key=_matching(fields, "kms_key", _KMS_KEY, "projects/P/locations/L/keyRings/R/cryptoKeys/K"),
        inputs=_columns(fields, "input", _INPUT_TYPES),
        outputs=_columns(fields, "output", _OUTPUT_TYPES),
        files=fields.optional_whole("files", most=limits.FILES),
        registry_id=read_registry_id(registry) if registry else None,
        registry_aliases=read_aliases(registry) if registry else (),
        check=ModelCheck.read(check) if (check := fields.optional_nested("check", example=_CHECK)) else None,
        remote=RemoteModel.read(remote) if (remote := fields.optional_nested("remote", example=_REMOTE)) else None,
        prediction=read_prediction(fields, project),
        deployment=_deployment(fields),
    )
    fields.optional_text("type")
    if bool(manifest.inputs) != bool(manifest.outputs):
        raise fields.wrong("input", "goes with output: give both or neither")
    if registry is not None:
        registry.reject_unknown()
    if manifest.remote is not None:
        for name in _NOT_REMOTE:
            if fields.has(name):
                raise fields.wrong(name, f"does not go with remote: {_NOT_REMOTE[name]}")
    if manifest.prediction is not None:
        check_function(fields, manifest.prediction, is_remote=manifest.remote is not None)
    fields.reject_unknown()
    return manifest


def _deployment(fields: Fields) -> DeploymentRequest | None:
    deploy = fields.optional_nested("deploy", example="{endpoint: prices}")
    if deploy is None:
        return None
    deployment = DeploymentRequest.read(deploy)
    deploy.reject_unknown()
    if not fields.has("registry") and not fields.has("remote"):
        raise fields.wrong(
            "deploy", "needs registry, because only a registered model can be deployed: add registry: {id: ...}"
        )
    return deployment


def _columns(fields: Fields, name: str, types: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    columns = fields.text_map(name)
    for column, kind in columns.items():
        check_column(column, fields.path(f"{name}.{column}")[:120])
        if kind.upper() not in types:
            raise fields.wrong(f"{name}.{column}", f"must be {' or '.join(types)}, not {kind[:40]!r}")
    return tuple((column, kind.upper()) for column, kind in columns.items())


def _duration(fields: Fields) -> timedelta | None:
    wanted = "must be hours or days such as 12h or 30d"
    try:
        text = fields.optional_text("expires_after")
    except Rejected as error:
        raise fields.wrong("expires_after", wanted) from error
    if text is None:
        return None
    found = _DURATION.fullmatch(text)
    if not found or not int(found[1]):
        raise fields.wrong("expires_after", f"{wanted}, not {text[:40]!r}")
    return timedelta(hours=int(found[1])) if found[2] == "h" else timedelta(days=int(found[1]))


def _matching(fields: Fields, name: str, pattern: re.Pattern[str], form: str) -> str | None:
    text = fields.optional_text(name)
    if text is not None and not pattern.fullmatch(text):
        raise fields.wrong(name, f"must have the form {form}")
    return text
