"""Creates the files of the sample tables.

    python -m localcloud.samples.make_samples

The stories and their authors are invented. Their titles are the held-out titles of ``examples/titles.csv`` and further
ones from the same generator, so that no classifier trained on the other titles has seen them. The host of a story's
``url`` names the publisher and ends in ``.example``, which never resolves (RFC 2606). There are no comments, because
they have no title and the tutorial's statement predicts on every row.
"""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from examples.make_titles import (
    SEED,
    Title,
    endless_titles,
    make_rows,
)
from localcloud.samples.films import FILMS, Film
from localcloud.samples.tables import FOLDER

STORIES = 1500
FIRST_ID = 46_000_000
FIRST_TIME = int(datetime(2026, 1, 5, 8, tzinfo=UTC).timestamp())
AUTHORS = ("hollowpine", "tessel", "mkoru", "paperlane", "vint", "obsid", "quaymaster", "ninebark", "dorrit", "elmer_w")

# The lab leaves films of 1935 and later out.
RECENT_FILM = Film("An Invented Film", 2001)
IMAGES = "gs://cloud-samples-data/generative-ai/image"
# The question, the file that it is about, and the type of that file.
QUESTIONS = (
    ("Which objects stand on the table? Answer with a list.", f"{IMAGES}/office-desk.jpeg", "image/jpeg"),
    ("What kind of room is this, and how do you know?", f"{IMAGES}/living-room.png", "image/png"),
    ("Write a caption of at most ten words.", f"{IMAGES}/croissant.jpeg", "image/jpeg"),
    ("Name three questions a child might ask about this picture.", f"{IMAGES}/a-man-and-a-dog.png", "image/png"),
    ("Explain in two sentences what a model registry is for.", None, None),
    ("Classify this headline as news, software or business: Mayor Delays Vote on Public Transit", None, None),
)


def make_hacker_news() -> Iterator[dict[str, Any]]:
    """Yield the stories of ``hacker_news.full``, oldest first."""
    chooser = random.Random(SEED + 2)
    moment = FIRST_TIME
    for place, title in enumerate(islice(unseen_titles(), STORIES)):
        moment += chooser.randrange(60, 7200)
        yield {
            "id": FIRST_ID + 37 * place,
            "by": chooser.choice(AUTHORS),
            "time": moment,
            "timestamp": datetime.fromtimestamp(moment, UTC).isoformat(),
            **_story(title, chooser),
        }


def unseen_titles() -> Iterator[Title]:
    """Yield titles that are not training titles: first the held-out ones, then the generator's next ones."""
    shipped = make_rows()
    yield from (Title(row["title"], row["publisher"]) for row in shipped if row["split"] == "heldout")
    yield from islice(endless_titles(SEED), len(shipped), None)


def _story(title: Title, chooser: random.Random) -> dict[str, Any]:
    slug = re.sub(r"[^a-z0-9]+", "-", title.title.lower()).strip("-")
    story = {
        "type": "story",
        "title": title.title,
        "url": f"https://{title.publisher}.example/{slug}",
        "score": int(chooser.paretovariate(0.8)),
        "descendants": int(chooser.paretovariate(0.9)) - 1,
    }
    return story | ({"dead": True} if chooser.random() < 0.02 else {})


def make_batch_requests() -> Iterator[dict[str, Any]]:
    """Yield rows whose ``request`` is a GenerateContentRequest: text, or text about a file in Cloud Storage."""
    for number, (question, uri, mime_type) in enumerate(QUESTIONS, start=1):
        parts: list[dict[str, Any]] = [{"text": question}]
        if uri:
            parts.append({"fileData": {"fileUri": uri, "mimeType": mime_type}})
        contents = [{"role": "user", "parts": parts}]
        yield {"id": number, "request": {"contents": contents, "generationConfig": {"temperature": 0.4}}}


def make_imdb() -> dict[str, list[dict[str, Any]]]:
    """Return the rows of the tables of ``imdb``. Ids, ratings and reviews are invented."""
    basics: list[dict[str, Any]] = []
    ratings: list[dict[str, Any]] = []
    reviews: list[dict[str, Any]] = []
    for number, film in enumerate((*FILMS, RECENT_FILM)):
        movie = f"tt99000{number:02}"
        basics.append(
            {
                "tconst": movie,
                "title_type": "movie",
                "primary_title": film.title,
                "original_title": film.title,
                "is_adult": 0,
                "start_year": film.year,
            }
        )
        ratings.append({"tconst": movie, "average_rating": 5.0 + number / 2, "num_votes": 100 * (number + 1)})
        reviews += [
            {
                "review": f"An invented review of {film.title}.",
                "split": split,
                "label": "Positive",
                "movie_id": movie,
                "reviewer_rating": 7 + number % 3,
                "movie_url": f"https://films.example/{movie}",
                "title": film.title,
            }
            for split in ("test", "train")
        ]
    return {"title_basics": basics, "title_ratings": ratings, "reviews": reviews}


def write_lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write ``rows`` to ``path`` as gzipped lines of JSON."""
    lines = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
    path.write_bytes(gzip.compress(lines.encode(), mtime=0))


def write_samples(folder: Path) -> None:
    """Write the files of all sample tables to ``folder``."""
    write_lines(folder / "hacker_news.jsonl.gz", make_hacker_news())
    write_lines(folder / "batch_requests.jsonl.gz", make_batch_requests())
    for table, rows in make_imdb().items():
        write_lines(folder / f"imdb_{table}.jsonl.gz", rows)


if __name__ == "__main__":
    write_samples(FOLDER)
