"""``modeldrop why``: what happened to something, and what to do next."""

from __future__ import annotations

from collections.abc import Sequence

import click

from modeldrop.commands.common import as_json, print_json, print_story, reads_project
from modeldrop.history.finding import Found, find
from modeldrop.history.stories import Story, story_of, story_of_ignored, story_of_rejection
from modeldrop.project import Project
from shared.work import Item, Kind, Outcome

# How many objects that belong to no drop, and how many pieces of work, are shown.
MOST_IGNORED, MOST_ITEMS = 5, 10
# How many models and tables with a similar name are suggested.
MOST_SIMILAR = 5


@click.command()
@click.argument("target")
@as_json
@reads_project
def why(project: Project, target: str, *, as_json: bool) -> None:
    r"""Say what happened to TARGET, and what to do next.

    TARGET is a model, a table, a path in the model bucket, a key, a message id or a request id. For a path, the bucket is
    listed too, so that objects that belong to no drop appear.

    \b
    Examples:
      modeldrop why news.publisher
      modeldrop why gs://my-project-modeldrop-models/news/publisher/1/
      modeldrop why nightly-2026-11-26

    The exit code is 0 if something is known of TARGET, and 1 if not.
    """
    if not target.strip():
        raise click.BadParameter("it is empty", param_hint="TARGET")
    found = find(target, project)
    stories = stories_of(found, project)
    if as_json:
        print_json({"target": target, "stories": [story.as_json() for story in stories], "notes": notes_of(found)})
    else:
        for number, story in enumerate(stories):
            click.echo("\n" if number else "", nl=False)
            print_story(story)
        if found.is_empty:
            click.echo(_nothing(found, project))
        for note in notes_of(found):
            click.secho(note, dim=True, err=True)
    if found.is_empty:
        raise SystemExit(1)


def stories_of(found: Found, project: Project) -> list[Story]:
    """Return the stories of everything that was found, the newest last."""
    items = shown_items(found.items)
    ignored = [story_of_ignored(uri, each, project) for uri, each in found.ignored[:MOST_IGNORED]]
    refused = [story_of_rejection(event) for event in found.rejections]
    return [*ignored, *refused, *(story_of(item, project) for item in items[-MOST_ITEMS:])]


def shown_items(items: Sequence[Item]) -> list[Item]:
    """Return the items without watches that ended with an import, which says the rest."""
    has_import = any(item.kind is Kind.IMPORT for item in items)
    return [item for item in items if not (has_import and item.kind is Kind.DROP and item.outcome is Outcome.SETTLED)]


def notes_of(found: Found) -> list[str]:
    """Return what the stories do not show."""
    notes = list(found.damaged)
    if len(found.ignored) > MOST_IGNORED:
        notes.append(f"{len(found.ignored) - MOST_IGNORED} more objects belong to no drop.")
    if len(found.items) > MOST_ITEMS:
        notes.append(f"{len(found.items) - MOST_ITEMS} older pieces of work are not shown.")
    if found.unread:
        notes.append(f"{found.unread} older items of the ledger were not read; a key or a request id finds them.")
    if found.objects and not found.items and not found.ignored:
        notes.append(f"{found.objects} objects are at this path; no event about them has been handled yet.")
    return notes


def _nothing(found: Found, project: Project) -> str:
    target = found.target
    if found.similar:
        return f"Nothing is known of {target}. Did you mean {' or '.join(found.similar[:MOST_SIMILAR])}?"
    if target.startswith("gs://") and not f"{target}/".startswith(f"gs://{project.model_bucket}/"):
        return (
            f"{target} is not in the model bucket of the project {project.name}, which is gs://{project.model_bucket}."
        )
    return (
        f"Nothing is known of {target} in the project {project.name}: the ledger has no work about it, and the bucket "
        f"gs://{project.model_bucket} no object. A message that was just published is handled within seconds; one that no "
        f"function accepted is a dead letter: {project.deploy_command('dead-letters list')}"
    )
