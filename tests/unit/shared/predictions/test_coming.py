"""Models that do not exist yet: predictions that wait for the same models share what was listed."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.checks.identifiers import ModelName
from shared.drops.drop import DropPath
from shared.predictions.coming import ComingModels
from shared.predictions.recent import FRESH
from tests.example_requests import PROJECT
from tests.unit.shared.conftest import World

PATH = DropPath("films", "genres", "2")
MODEL = ModelName(PROJECT, "films", "genres")
OTHER = ModelName(PROJECT, "films", "ratings")


@pytest.fixture
def coming(world: World) -> ComingModels:
    """What one process knows."""
    return ComingModels(world.services)


def test_a_model_whose_drop_was_uploaded_is_coming(world: World, coming: ComingModels) -> None:
    world.upload(PATH, "genres.onnx")
    assert coming.is_coming(MODEL, since=world.services.now())
    assert not coming.is_coming(OTHER, since=world.services.now())


def test_a_model_that_a_drop_in_another_folder_names_is_coming(world: World, coming: ComingModels) -> None:
    world.upload(PATH, "genres.onnx")
    world.upload(PATH, "modeldrop.yaml", content=b"target: films.ratings\n")
    assert coming.is_coming(OTHER, since=world.services.now())


def test_what_was_listed_after_a_request_answers_it_for_a_moment(world: World, coming: ComingModels) -> None:
    since = world.services.now()
    assert not coming.is_coming(MODEL, since=since)
    world.upload(PATH, "genres.onnx")
    assert not coming.is_coming(MODEL, since=since)
    world.pass_time(FRESH.total_seconds())
    assert coming.is_coming(MODEL, since=since)


def test_a_request_that_follows_the_upload_does_not_get_an_older_no(world: World, coming: ComingModels) -> None:
    assert not coming.is_coming(MODEL, since=world.services.now())
    world.upload(PATH, "genres.onnx")
    assert coming.is_coming(MODEL, since=world.services.now() + timedelta(milliseconds=1))
