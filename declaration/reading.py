"""Reads a declaration from its file."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from declaration.checks import Problem, did_you_mean, problems, problems_in
from declaration.document import Document, DocumentError, FieldPath, dotted, parse_document
from declaration.model import (
    DEFAULT_NAME,
    Alerts,
    Declaration,
    Environment,
    Function,
    HttpTrigger,
    Schedule,
    StorageTrigger,
    TopicTrigger,
)
from declaration.resources import Account, Bucket, DatasetAccess, DeclaredDatasets, Feature, Model, Retry, Topic

SECTIONS: dict[str, type[Model]] = {
    "accounts": Account,
    "buckets": Bucket,
    "topics": Topic,
    "functions": Function,
    "schedules": Schedule,
    "features": Feature,
    "environments": Environment,
}
TRIGGERS: dict[str, type[Model]] = {each.__name__: each for each in (StorageTrigger, TopicTrigger, HttpTrigger)}
SETTINGS = (("settings",), ("local_settings",))


class DeclarationError(ValueError):
    """The declaration is wrong; the message has a line for each problem, with the line and the field in the file."""


CheckSetting = Callable[[str, str], str | None]
"""Returns what is wrong with a setting, given its name and text, as the rest of a sentence; None if it is right."""


def read_declaration(
    path: Path,
    *,
    environment: str | None = None,
    project: str | None = None,
    required_topics: Iterable[str] = (),
    check_setting: CheckSetting | None = None,
) -> Declaration:
    """Read the declaration in ``path``.

    Args:
        path: A YAML file.
        environment: One of its environments; None: the one that needs no name.
        project: The project that it is for; None: any.
        required_topics: Keys of topics that the caller needs.
        check_setting: Checks each setting; None: any name and text is right.

    Raises:
        DeclarationError: The file cannot be read, or something in it is wrong.
    """
    name = _shown(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DeclarationError(f"The declaration {name} cannot be read: {error}") from error
    return parse_declaration(
        text,
        name,
        environment=environment,
        project=project,
        required_topics=required_topics,
        check_setting=check_setting,
    )


def parse_declaration(
    text: str,
    name: str = "functions.yaml",
    *,
    environment: str | None = None,
    project: str | None = None,
    required_topics: Iterable[str] = (),
    check_setting: CheckSetting | None = None,
) -> Declaration:
    """Return the declaration in the YAML ``text``; errors call the file ``name``.

    Raises:
        DeclarationError: Something in the text is wrong.
    """
    try:
        document = _document(text, environment)
    except DocumentError as error:
        raise DeclarationError(f"{name}, line {error.line}: {error}") from error
    try:
        declaration = Declaration.model_validate(document.value)
    except ValidationError as error:
        raise _error(name, document, map(_problem, error.errors())) from error
    if environment is not None:
        if environment not in declaration.environments:
            message = f"has no {environment}; {did_you_mean(environment, declaration.environments)}"
            raise _error(name, document, [Problem(("environments",), message)])
        declaration = declaration.of_environment(environment)
    found = list(problems(declaration, required_topics))
    if project is not None:
        found += problems_in(declaration, project)
    if check_setting is not None:
        found += _wrong_settings(declaration, check_setting)
    if found:
        raise _error(name, document, found)
    return declaration


def _document(text: str, environment: str | None) -> Document:
    """Return the document in ``text``, with the declaration's name in place of ``{name}``."""
    document = parse_document(text)
    if not isinstance(document.value, dict):
        return document
    name = document.value.get("name") or DEFAULT_NAME
    if environment is not None:
        name = f"{name}-{environment}"
    document = parse_document(text.replace("{name}", str(name)))
    return Document({**document.value, "name": name}, document.lines)


def _shown(path: Path) -> str:
    """Return ``path`` as seen from the current folder, if it is in it."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _error(name: str, document: Document, found: Iterable[Problem]) -> DeclarationError:
    lines = (
        f"{name}, line {document.line(path)}: {dotted(path) or 'the document'} {message}" for path, message in found
    )
    return DeclarationError("\n".join(lines))


def _wrong_settings(declaration: Declaration, check_setting: CheckSetting) -> Iterator[Problem]:
    for section, settings in (("settings", declaration.settings), ("local_settings", declaration.local_settings)):
        for name, text in settings.items():
            if (problem := check_setting(name, text)) is not None:
                yield Problem((section, name), problem)


def _problem(error: ErrorDetails) -> Problem:
    """Return the problem that pydantic found."""
    model, path = _model_at(error["loc"])
    value = error["input"]
    match error["type"]:
        case "extra_forbidden":
            return Problem(path, _unknown_field(str(path[-1]), model))
        case "value_error":
            reason = str(error["ctx"]["error"])
        case "trigger":
            reason = error["msg"]
        case "literal_error":
            reason = f"expected {error['ctx']['expected']}"
        case "missing":
            value = None
            reason = ""
        case "string_type":
            reason = "expected text"
        case "tuple_type":
            reason = "expected a list"
        case "model_type" | "model_attributes_type" | "mapping_type" | "dict_type":
            reason = "expected fields"
        case _:
            reason = error["msg"]
    if (
        value is None
        and path[:1] not in SETTINGS
        and not (path[:1] == ("environments",) and path[2:3] == ("settings",))
    ):
        return Problem(path, "is missing" if path else "is empty")
    return Problem(path, f"is {reprlib.repr(value)}; {reason}")


def _model_at(location: tuple[int | str, ...]) -> tuple[type[Model], FieldPath]:
    """Return the model that the last part of ``location`` is a field of, and the path in the document."""
    # A key that is not text is marked; a location within a trigger also has the trigger's model.
    match tuple(part for part in location if part != "[key]"):
        case ("functions", name, "trigger", str(kind), *rest) if kind in TRIGGERS:
            return TRIGGERS[kind], ("functions", name, "trigger", *rest)
        case ("retry", _, *_) as path:
            return Retry, path
        case ("alerts", _, *_) as path:
            return Alerts, path
        case ("datasets", _) as path:
            return DeclaredDatasets, path
        case ("datasets", _, _, *_) as path:
            return DatasetAccess, path
        case (str(section), _, _, *_) as path if section in SECTIONS:
            return SECTIONS[section], path
        case path:
            return Declaration, path


def _unknown_field(name: str, model: type[Model]) -> str:
    if re.search(r"auth|public|invoker|ingress", name):
        return "is refused: functions are only ever deployed with authentication"
    return f"is not a field; {did_you_mean(name, model.model_fields)}"
