"""What Google's clients raise when a service can't be reached, does not let in, fails or refuses: one list for all of them."""

from __future__ import annotations

from google.api_core import exceptions
from google.auth import exceptions as auth_exceptions
from google.protobuf import json_format

# Whoever catches these first asks for the answers that mean something to them, such as NotFound.
# An answer that is no JSON comes from something between here and the service.
OUTAGES: tuple[type[Exception], ...] = (
    exceptions.GoogleAPIError,
    auth_exceptions.GoogleAuthError,
    json_format.ParseError,
    OSError,
)
