"""Says why a command cannot read a project: no credentials, no such project, no permission, or no answer."""

from __future__ import annotations

from collections.abc import Iterator

from google.api_core import exceptions
from google.auth import exceptions as auth_exceptions

from modeldrop.project import Project

LOG_IN = "run `gcloud auth application-default login`"

# What the commands need, as docs/deploy.md says.
ROLES = (
    "`status`, `why`, `wait` and `events` need roles/storage.objectViewer on the buckets {model_bucket} and {state_bucket}, "
    "`events -f` also roles/pubsub.editor, and `logs` roles/logging.viewer"
)


def explain(error: Exception, project: Project) -> str:
    """Return why a call to a service of ``project`` failed, and what to do, in sentences.

    Args:
        error: The error of a client, or an error of ours that it has become.
        project: The project that the command is about.
    """
    for cause in _causes(error):
        match cause:
            case auth_exceptions.DefaultCredentialsError():
                return f"There are no credentials for Google Cloud: {LOG_IN}."
            case auth_exceptions.TransportError():
                return f"Google Cloud does not answer: {_first_line(cause)}."
            case auth_exceptions.GoogleAuthError() | exceptions.Unauthorized():
                return f"Google Cloud does not accept the credentials ({_first_line(cause)}): {LOG_IN}."
            case exceptions.NotFound() if project.is_local:
                return f"The local cloud does not have what Modeldrop needs: {_first_line(cause)}."
            case exceptions.NotFound():
                return (
                    f"Modeldrop is not deployed in the project {project.name}, or there is no such project: "
                    f"{_first_line(cause)}. `{project.deploy_command('plan')}` shows what would be created."
                )
            case exceptions.Forbidden():
                roles = ROLES.format(model_bucket=project.model_bucket, state_bucket=project.state_bucket)
                return f"You may not read the project {project.name}: {_first_line(cause)}. {roles}."
    return f"A service of the project {project.name} did not answer as expected: {_first_line(error)}."


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, and the errors that it was raised from."""
    while error is not None:
        yield error
        error = error.__cause__


def _first_line(error: BaseException) -> str:
    text = error.message if isinstance(error, exceptions.GoogleAPICallError) else str(error)
    lines = str(text).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:300].rstrip(". ")
