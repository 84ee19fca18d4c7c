"""The course's lab "Analyzing Movie Posters in BigQuery with Remote Models", from its first statement to its last.

https://www.cloudskillsboost.google/course_templates/1060/labs/527188
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from localcloud.gemini.echo import EchoBackend
from localcloud.gemini.orders import Order
from localcloud.provisioning import create_sample_objects, create_sample_tables
from localcloud.samples.films import FILMS
from tests.localcloud.bigquery.ml.world import PROJECT, MlWorld, ml_world
from tests.waiting import LAST_LIMIT

QUESTION = (
    "For the movie represented by this poster, what is the movie title and year of release? "
    "Answer in JSON format with two keys: title, year. title should be string, year should be integer."
)
ANSWER = ' ```json\n{"title": "Au Secours!", "year": 1924}\n```'
BEFORE = f"""
CREATE SCHEMA gemini_demo OPTIONS (location = 'US');
CREATE OR REPLACE EXTERNAL TABLE `gemini_demo.movie_posters`
WITH CONNECTION `us.gemini_conn`
OPTIONS (object_metadata = 'SIMPLE',
  uris = ['gs://cloud-samples-data/vertex-ai/dataset-management/datasets/classic-movie-posters/*']);
CREATE OR REPLACE MODEL `gemini_demo.gemini_pro`
REMOTE WITH CONNECTION `us.gemini_conn` OPTIONS (endpoint = 'gemini-3.8-flash');
CREATE OR REPLACE MODEL `gemini_demo.gemini_pro_vision`
REMOTE WITH CONNECTION `us.gemini_conn` OPTIONS (endpoint = 'gemini-3.8-flash');
CREATE OR REPLACE TABLE `gemini_demo.movie_posters_results` AS (
SELECT uri, ml_generate_text_llm_result
FROM ML.GENERATE_TEXT( MODEL `gemini_demo.gemini_pro_vision`, TABLE `gemini_demo.movie_posters`,
  STRUCT( 0.2 AS temperature, '{QUESTION}' AS PROMPT, TRUE AS FLATTEN_JSON_OUTPUT)));
CREATE OR REPLACE TABLE `gemini_demo.movie_posters_results_formatted` AS (
SELECT uri,
  JSON_QUERY(RTRIM(LTRIM(results.ml_generate_text_llm_result, " ```json"), "```"), "$.title") AS title,
  JSON_QUERY(RTRIM(LTRIM(results.ml_generate_text_llm_result, " ```json"), "```"), "$.year") AS year
FROM `gemini_demo.movie_posters_results` results )
"""
SUMMARIES = """
SELECT uri, title, year, prompt, ml_generate_text_llm_result
FROM ML.GENERATE_TEXT( MODEL `gemini_demo.gemini_pro`,
  ( SELECT CONCAT('Provide a short summary of movie titled ',title, ' from the year ',year,'.') AS prompt, uri, title, year
    FROM `gemini_demo.movie_posters_results_formatted` LIMIT 20 ),
  STRUCT(0.2 AS temperature, TRUE AS FLATTEN_JSON_OUTPUT))
"""
EMBEDDINGS = """
CREATE OR REPLACE MODEL `gemini_demo.text_embedding`
REMOTE WITH CONNECTION `us.gemini_conn` OPTIONS (endpoint = 'text-multilingual-embedding-002');
CREATE OR REPLACE TABLE `gemini_demo.movie_posters_results_embeddings` AS (
SELECT * FROM ML.GENERATE_EMBEDDING( MODEL `gemini_demo.text_embedding`,
  ( SELECT CONCAT('The movie titled ', title, ' from the year ', year,'.') AS content, title, year, uri
    FROM `gemini_demo.movie_posters_results_formatted` ),
  STRUCT(TRUE AS flatten_json_output)));
CREATE OR REPLACE VIEW `gemini_demo.imdb_movies` AS (
WITH reviews AS (
  SELECT reviews.movie_id AS movie_id, title.primary_title AS title, title.start_year AS year, reviews.review AS review
  FROM `bigquery-public-data.imdb.reviews` reviews
  LEFT JOIN `bigquery-public-data.imdb.title_basics` title ON reviews.movie_id = title.tconst)
SELECT DISTINCT(movie_id), title, year FROM reviews WHERE year < 1935);
CREATE OR REPLACE TABLE `gemini_demo.imdb_movies_embeddings` AS (
SELECT * FROM ML.GENERATE_EMBEDDING( MODEL `gemini_demo.text_embedding`,
  ( SELECT CONCAT('The movie titled ', title, ' from the year ', year,'.') AS content, title, year, movie_id
    FROM `gemini_demo.imdb_movies` ),
  STRUCT(TRUE AS flatten_json_output) )
WHERE ml_generate_embedding_status = '' )
"""
MATCHES = """
SELECT query.uri AS poster_uri, query.title AS poster_title, query.year AS poster_year, base.title AS imdb_title,
  base.year AS imdb_year, base.movie_id AS imdb_movie_id, distance, imdb.average_rating, imdb.num_votes
FROM VECTOR_SEARCH( TABLE `gemini_demo.imdb_movies_embeddings`, 'ml_generate_embedding_result',
  TABLE `gemini_demo.movie_posters_results_embeddings`, 'ml_generate_embedding_result',
  top_k => 1, distance_type => 'COSINE') DATA
LEFT JOIN `bigquery-public-data.imdb.title_ratings` imdb ON base.movie_id = imdb.tconst
ORDER BY imdb.average_rating DESC
"""


@pytest.fixture
def world(request: pytest.FixtureRequest) -> Iterator[MlWorld]:
    """A BigQuery with the samples, whose model gives the answer of the parameter about each poster."""
    orders = [Order(text="represented by this poster", answer=request.param)] if request.param else []
    with ml_world(backend=EchoBackend(orders)) as running:
        create_sample_tables(running.bigquery)
        create_sample_objects(running.store)
        yield running


def take_lab(world: MlWorld) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Run the lab's statements; return the summaries, and the films that match the posters."""
    created = requests.post(
        f"{world.bigquery.url}/v1/projects/{PROJECT}/locations/US/connections",
        params={"connectionId": "gemini_conn"},
        json={"cloudResource": {}},
        timeout=LAST_LIMIT,
    )
    assert created.status_code == 200
    for statement in BEFORE.split(";\n"):
        world.client.query_and_wait(statement)
    summaries = [dict(row) for row in world.client.query_and_wait(SUMMARIES)]
    for statement in EMBEDDINGS.split(";\n"):
        world.client.query_and_wait(statement)
    return summaries, [dict(row) for row in world.client.query_and_wait(MATCHES)]


@pytest.mark.long
@pytest.mark.parametrize("world", [ANSWER], indirect=True)
def test_the_lab_about_posters_matches_each_poster_to_a_film(world: MlWorld) -> None:
    summaries, matches = take_lab(world)

    assert len(summaries) == len(FILMS)
    assert {row["ml_generate_text_llm_result"] for row in summaries} == {
        'Echo: Provide a short summary of movie titled "Au Secours!" from the year 1924.'
    }
    assert sorted(row["poster_uri"].rpartition("/")[2] for row in matches) == sorted(
        f"{film.slug}.jpg" for film in FILMS
    )
    assert {(row["poster_title"], row["imdb_title"], row["imdb_year"]) for row in matches} == {
        ('"Au Secours!"', "Au Secours!", 1924)
    }
    assert all(row["average_rating"] and row["num_votes"] for row in matches)


@pytest.mark.long
@pytest.mark.parametrize("world", [""], indirect=True)
def test_the_lab_about_posters_ends_with_a_stand_in_that_knows_no_film(world: MlWorld) -> None:
    summaries, matches = take_lab(world)
    assert [(row["title"], row["prompt"]) for row in summaries] == [(None, None)] * len(FILMS)
    assert matches == []
