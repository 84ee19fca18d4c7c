"""The settings that the declaration gives the functions of a local cloud."""

from __future__ import annotations

from pathlib import Path

from declaration.model import Declaration
from declaration.reading import parse_declaration
from localcloud.config import CloudConfig
from localcloud.environment import Addresses, function_environment
from tests.conftest import variables

ADDRESSES = Addresses("http://localhost:1", "http://localhost:2", "localhost:3")


def declared() -> Declaration:
    text = CloudConfig().declaration.read_text(encoding="utf-8")
    text = text.replace("WRITABLE_DATASETS, names: []", "WRITABLE_DATASETS, names: [predictions, my-films.more]")
    return parse_declaration(text)


def environment(declaration: Declaration) -> dict[str, str]:
    return function_environment(CloudConfig(), declaration, ADDRESSES, Path("key.json"))


def test_named_datasets_limit_the_functions_of_a_local_cloud_too() -> None:
    found = environment(declared())

    assert found["WRITABLE_DATASETS"] == "predictions,my-films.more"
    assert "READABLE_DATASETS" not in found


def test_a_variable_of_the_shell_takes_precedence_over_named_datasets() -> None:
    with variables({"WRITABLE_DATASETS": "news"}):
        assert environment(declared())["WRITABLE_DATASETS"] == "news"
