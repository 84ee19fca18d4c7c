"""``modeldrop wait``: waits until work ends; the exit code says how."""

from __future__ import annotations

import time
from contextlib import nullcontext

import click

from modeldrop.commands.common import as_json, print_json, print_story, reads_project
from modeldrop.commands.why import shown_items, stories_of
from modeldrop.history.finding import NAME, Found, find, read_again
from modeldrop.history.stories import Story, newest_line, story_of, title_of
from modeldrop.project import Project
from shared.work import Item, Kind, Outcome

FAILED, TIMED_OUT = 1, 3
LOOK_EVERY_SECONDS = 0.5
# How often everything about the target is looked for again, as a multiple of the above.
FIND_EVERY = 6


@click.command()
@click.argument("target")
@click.option("--timeout", type=click.FloatRange(min=0), default=600.0, show_default=True, help="Seconds to wait.")
@as_json
@reads_project
def wait(project: Project, target: str, *, timeout: float, as_json: bool) -> None:
    r"""Wait until the work about TARGET has ended, and say how.

    TARGET is the same as for `modeldrop why`. Of several pieces of work, the newest counts; for a model, these are its imports,
    not the predictions with it. To wait for a drop that you have put right, give its path: what ended before the last upload
    does not count then.

    \b
    Example:
      modeldrop wait news.publisher --timeout 120 && bq query ...

    \b
    Exit codes:
      0  it succeeded
      1  it failed, was rejected, or the path belongs to no drop
      2  the command could not be done
      3  it had not ended in time, or nothing was found
    """
    story, code = _wait(target, project, timeout)
    if as_json:
        print_json(story.as_json() if story else None)
    elif story is not None:
        print_story(story)
    if code == TIMED_OUT:
        state = "it is still open" if story else "nothing was found"
        click.echo(f"Waited {timeout:g} s for {target}: {state}.", err=True)
    raise SystemExit(code)


def end_of(found: Found, project: Project) -> tuple[Story, int] | None:
    """Return the story and the exit code of the newest work; None if it has not ended, or if there is none yet."""
    items = _work_of_the_model(found) or shown_items(found.items)
    newest = items[-1] if items else None
    refused = found.rejections[-1] if found.rejections else None
    if newest is None or (refused is not None and refused.time > (newest.finished or newest.created)):
        if refused is not None or found.ignored:
            return stories_of(Found(found.target, (), found.rejections, found.ignored), project)[-1], FAILED
        return None
    # After the watch of a drop comes its import.
    if newest.outcome is None or (newest.kind is Kind.DROP and newest.outcome is Outcome.SETTLED):
        return None
    if found.changed is not None and newest.finished is not None and found.changed > newest.finished:
        # The files were changed since; they are imported again.
        return None
    return story_of(newest, project), 0 if newest.outcome.is_success else FAILED


def _work_of_the_model(found: Found) -> list[Item]:
    """Return the imports and other work on the model that the target names; a prediction with it has a table of its own."""
    if not NAME.fullmatch(found.target):
        return []
    kinds, ending = {Kind.DROP, Kind.IMPORT, Kind.MANAGE}, f".{found.target}"
    items = [item for item in found.items if item.kind in kinds and f".{item.request.model}".endswith(ending)]
    return shown_items(items)


def _wait(target: str, project: Project, timeout: float) -> tuple[Story | None, int]:
    deadline = time.monotonic() + timeout
    from rich.console import Console

    console = Console(stderr=True)
    display = console.status(f"Waiting for {target}") if console.is_terminal else nullcontext(None)
    found, round_number = find(target, project), 0
    with display as status:
        while (end := end_of(found, project)) is None:
            left = deadline - time.monotonic()
            if left <= 0:
                return (story_of(found.items[-1], project) if found.items else None), TIMED_OUT
            if status is not None:
                status.update(_progress(target, found, left))
            time.sleep(min(LOOK_EVERY_SECONDS, left))
            round_number += 1
            open_items = [item for item in found.items if item.outcome is None]
            if not open_items or round_number % FIND_EVERY == 0 or _have_ended(open_items, project):
                found = find(target, project)
    return end


def _have_ended(items: list[Item], project: Project) -> bool:
    return any(item.outcome is not None for item in read_again(items, project))


def _progress(target: str, found: Found, left: float) -> str:
    from rich.markup import escape

    if not found.items:
        return escape(f"Nothing is known of {target} yet; {left:.0f} s left")
    item = found.items[-1]
    return escape(f"{title_of(item)}: {newest_line(item)} {left:.0f} s left")
