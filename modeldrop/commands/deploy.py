"""Deploying: the door to ``python -m deploy``, which explains its options itself."""

from __future__ import annotations

import sys

import click


@click.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []})
@click.pass_context
def deploy(context: click.Context) -> None:
    """Deploy to Google Cloud, or handle dead letters."""
    from deploy.__main__ import main

    sys.exit(main(context.args, program="modeldrop deploy"))
