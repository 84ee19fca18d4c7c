"""The methods that call a model directly: to generate content, to count tokens, and for embeddings."""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

from localcloud.base.json_api import Call, Route
from localcloud.gemini.backends import ModelBackend
from localcloud.gemini.contents import Prompt, parse_request, split_tokens
from localcloud.gemini.embeddings import embed_content, predictions
from localcloud.gemini.errors import BackendError
from localcloud.gemini.json_values import as_list, camel_keys
from localcloud.gemini.models import GLOBAL, Model, ModelTable
from localcloud.vertex.base.rest import Handler, Stream, version_of
from localcloud.vertex.request_checks import RequestChecks, check_fields

WORDS_PER_PIECE = 4
# How many different tokens Gemini has: https://ai.google.dev/gemma/docs/core
VOCABULARY = 262_144

PUBLISHER_MODELS = (
    "projects/{project}/locations/{location}/publishers/{publisher}/models/{model}",
    "projects/{project}/locations/{location}/endpoints/{model}",
    "publishers/{publisher}/models/{model}",
)


class Generation:
    """Serves the methods that call a model."""

    def __init__(self, backend: ModelBackend, models: ModelTable, checks: RequestChecks) -> None:
        """Serve ``models``, whose responses ``backend`` generates for requests that pass ``checks``."""
        self._backend = backend
        self._checks = checks
        self._models = models

    def routes(self) -> list[Route[Handler]]:
        """Return the routes: of Google's models, also in express mode, and of tuned models behind an endpoint."""
        methods: dict[str, Handler] = {
            "generateContent": self._generate,
            "streamGenerateContent": self._stream,
            "countTokens": self._count,
            "computeTokens": self._compute_tokens,
            "embedContent": self._embed,
        }
        return [
            Route("POST", f"{model}:{method}", self._of_served_model(handle))
            for model in PUBLISHER_MODELS
            for method, handle in methods.items()
        ] + [Route("POST", f"{PUBLISHER_MODELS[0]}:predict", self._predict)]

    def _of_served_model(self, handle: Handler) -> Handler:
        """Return a handler that first checks the model of the call; a tuned model behind an endpoint has no entry."""

        def checked(call: Call) -> dict[str, Any] | Stream:
            if "publisher" in call.names:
                model = self._model(call)
                if model.embeds != (handle == self._embed):
                    raise BackendError(400, f"The model {call.names['model']} does not support {_method(call)}.")
            return handle(call)

        return checked

    def _model(self, call: Call) -> Model:
        """Return the model of a call. Raises ``BackendError`` (404)."""
        names = call.names
        project, location = names.get("project", "-"), names.get("location", GLOBAL)
        return self._models.find(project, location, names["model"], publisher=names["publisher"])

    def _embed(self, call: Call) -> dict[str, Any]:
        if "publisher" not in call.names:
            raise BackendError(400, f"The endpoint {call.names['model']} does not support embedContent.")
        request = call.json()
        check_fields("EmbedContentRequest", request, version_of(call))
        return embed_content(self._model(call), request)

    def _predict(self, call: Call) -> dict[str, Any]:
        """Return the embeddings of instances with text, from a model for embeddings."""
        model = self._model(call)
        if not model.embeds:
            raise BackendError(400, f"The model {call.names['model']} does not support predict.")
        request = call.json()
        check_fields("PredictRequest", request, version_of(call))
        return {"predictions": predictions(model, request)}

    def _generate(self, call: Call) -> dict[str, Any]:
        return self._response(call)

    def _stream(self, call: Call) -> Stream:
        return Stream(_pieces(self._response(call)))

    def _response(self, call: Call) -> dict[str, Any]:
        request = call.json()
        self._checks.check_call(request, version_of(call))
        return self._backend.generate(call.names["model"], request)

    def _count(self, call: Call) -> dict[str, Any]:
        request = call.json()
        check_fields("CountTokensRequest", request, version_of(call))
        prompt = _countable(request)
        counts = prompt.tokens_by_modality()
        texts = [prompt.system, *(turn.text for turn in prompt.turns)]
        return {
            "totalTokens": sum(counts.values()),
            "totalBillableCharacters": sum(len(re.sub(r"\s", "", text)) for text in texts),
            "promptTokensDetails": [{"modality": kind, "tokenCount": count} for kind, count in counts.items()],
        }

    def _compute_tokens(self, call: Call) -> dict[str, Any]:
        """Return the tokens of each content, or of each instance of a text model.

        https://docs.cloud.google.com/vertex-ai/generative-ai/docs/reference/rest/v1/projects.locations.publishers.models/computeTokens
        """
        request = call.json()
        check_fields("ComputeTokensRequest", request, version_of(call))
        if instances := as_list(request.get("instances")):
            return {"tokensInfo": [_tokens_info([_text_of_instance(each)]) for each in instances]}
        prompt = _countable({"contents": request.get("contents")})
        if any(part.mime_type for turn in prompt.turns for part in turn.parts):
            raise BackendError(400, "Unable to compute tokens: only text is supported.")
        return {
            "tokensInfo": [
                {"role": turn.role, **_tokens_info([part.text for part in turn.parts])} for turn in prompt.turns
            ]
        }


def _tokens_info(texts: Iterable[str]) -> dict[str, Any]:
    """Return the tokens of texts, which are stand-ins as the counts are: pieces of a few characters, and their checksums."""
    tokens = [token.encode(errors="surrogatepass") for text in texts for token in split_tokens(text)]
    return {
        "tokens": [base64.b64encode(token).decode() for token in tokens],
        "tokenIds": [str(zlib.crc32(token) % VOCABULARY) for token in tokens],
    }


def _text_of_instance(instance: Any) -> str:
    text = (instance.get("prompt") or instance.get("content")) if isinstance(instance, dict) else None
    if not isinstance(text, str):
        raise BackendError(400, "Each instance must be an object with the string prompt or content.")
    return text


def _method(call: Call) -> str:
    return call.path.rpartition(":")[2]


def _countable(body: dict[str, Any]) -> Prompt:
    """Return the prompt of a CountTokensRequest, which Google's Gen AI SDK nests for the Developer API only."""
    given = camel_keys(body)
    if not given.get("contents"):
        raise BackendError(400, "Unable to submit request because at least one contents field is required.")
    return parse_request(given)


def _pieces(response: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Split a response into pieces of a few words; the last one has the finish reason and the token counts."""
    candidates = response.get("candidates", [])
    cut = [_cut(_text(candidate)) for candidate in candidates]
    last = max((len(pieces) for pieces in cut), default=1) - 1
    rest = {key: value for key, value in response.items() if key not in ("candidates", "usageMetadata")}
    for number in range(last):
        yield rest | {
            "candidates": [
                {"content": {"role": "model", "parts": [{"text": pieces[number]}]}, "index": index}
                for index, pieces in enumerate(cut)
                if number < len(pieces) - 1
            ]
        }
    yield response | {
        "candidates": [
            candidate | {"content": {"role": "model", "parts": [{"text": pieces[-1]}]}}
            if _text(candidate)
            else candidate
            for candidate, pieces in zip(candidates, cut, strict=True)
        ]
    }


def _text(candidate: dict[str, Any]) -> str:
    """Return the candidate's text; empty if the candidate has other parts, which cannot be split."""
    parts = candidate.get("content", {}).get("parts", [])
    return "".join(part["text"] for part in parts) if all(set(part) == {"text"} for part in parts) else ""


def _cut(text: str) -> list[str]:
    words = re.findall(r"\S+\s*|^\s+", text)
    return ["".join(words[at : at + WORDS_PER_PIECE]) for at in range(0, len(words), WORDS_PER_PIECE)] or [text]
