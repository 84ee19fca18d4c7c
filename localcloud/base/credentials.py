"""A service account key whose token endpoint is the local cloud, so that clients sign in as they do at Google.

The key is real and new at each start. The tokens are opaque strings, which no local service requires; BigQuery uses them
to find out which account a job belongs to.
"""

from __future__ import annotations

import json
import secrets
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import crypt, jwt
from google.auth import exceptions as auth_exceptions
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from localcloud.base.asgi import ASGIApp
from localcloud.base.clock import Clock

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
TOKEN_LIFETIME_SECONDS = 3600
MOST_FIELDS = 20
"""The most fields of a request for a token."""
TOKEN_PREFIX = "ya29.local-"
# Google's keys have 2,048 bits. Each client checks its key when it reads it, which takes 55 ms for such a key, and 8 ms for
# this one, which opens nothing but the local cloud.
KEY_BITS = 1024


class Credentials:
    """The key of the runtime account, and the endpoint that exchanges assertions signed with it for tokens."""

    def __init__(self, *, project: str, account: str, token_uri: str, clock: Clock) -> None:
        """Generate a key.

        Args:
            project: The project that the account belongs to.
            account: The id of the account, without the domain.
            token_uri: The address from which clients request tokens, where ``app`` is served.
            clock: The time at which tokens are issued.
        """
        private_key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
        private_pem = private_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self._public_pem = private_key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        key_id = secrets.token_hex(20)
        self._signer = crypt.RSASigner.from_string(private_pem, key_id)
        self._clock = clock
        self.email = f"{account}@{project}.iam.gserviceaccount.com"
        self.key: dict[str, str] = {
            "type": "service_account",
            "project_id": project,
            "private_key_id": key_id,
            "private_key": private_pem.decode(),
            "client_email": self.email,
            "client_id": str(uuid.uuid4().int)[:21],
            "token_uri": token_uri,
            "universe_domain": "googleapis.com",
        }
        self.app: ASGIApp = Starlette(routes=[Route("/token", self._token, methods=["POST"])])

    def write(self, path: Path) -> None:
        """Write the key file, readable by its owner only."""
        path.touch(mode=0o600)
        path.write_text(json.dumps(self.key, indent=2) + "\n", encoding="utf-8")

    def account_of(self, token: str) -> str | None:
        """Return the e-mail address of the account that ``token`` was issued for, None if it was not issued here."""
        return self.email if token.startswith(TOKEN_PREFIX) else None

    def verify(self, email: str, text: bytes, signature: bytes) -> bool:
        """Return whether ``signature`` is that of the account ``email`` over ``text``."""
        return email == self.email and crypt.verify_signature(text, signature, self._public_pem)

    async def _token(self, request: Request) -> JSONResponse:
        """Answer the JWT bearer grant (RFC 7523): https://developers.google.com/identity/protocols/oauth2."""
        try:
            form = parse_qs((await request.body()).decode("utf-8", "replace"), max_num_fields=MOST_FIELDS)
        except ValueError as error:
            return _rejection("invalid_request", str(error))
        grant = form.get("grant_type", [""])[0]
        if grant != JWT_BEARER:
            return _rejection("unsupported_grant_type", f"Invalid grant_type: {grant}")
        try:
            # The audience is not compared: clients name the token endpoint of Google.
            claims = jwt.decode(form.get("assertion", [""])[0], certs=self._public_pem)
        except (ValueError, auth_exceptions.GoogleAuthError) as error:
            return _rejection("invalid_grant", f"Invalid JWT: {error}")
        if claims.get("iss") != self.email:
            return _rejection("invalid_grant", "Invalid grant: account not found")
        if audience := claims.get("target_audience"):
            return JSONResponse({"id_token": self._id_token(audience)})
        return JSONResponse(
            {
                "access_token": f"{TOKEN_PREFIX}{secrets.token_urlsafe(32)}",
                "expires_in": TOKEN_LIFETIME_SECONDS,
                "token_type": "Bearer",
            }
        )

    def _id_token(self, audience: str) -> str:
        issued = int(self._clock.now().timestamp())
        claims: dict[str, Any] = {
            "iss": "https://accounts.google.com",
            "aud": audience,
            "azp": self.email,
            "sub": self.key["client_id"],
            "email": self.email,
            "email_verified": True,
            "iat": issued,
            "exp": issued + TOKEN_LIFETIME_SECONDS,
        }
        token: bytes = jwt.encode(self._signer, claims)
        return token.decode()


def _rejection(error: str, description: str) -> JSONResponse:
    return JSONResponse({"error": error, "error_description": description}, status_code=400)
