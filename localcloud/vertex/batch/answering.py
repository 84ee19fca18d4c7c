"""Answers the rows of a batch: checks each request and calls the model."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from localcloud.base.clock import Clock
from localcloud.gemini.backends import ModelBackend, answers_at_once
from localcloud.gemini.embeddings import embed_content, prediction
from localcloud.gemini.errors import BackendError
from localcloud.gemini.models import ModelTable
from localcloud.vertex.base.moments import rfc3339_micros
from localcloud.vertex.batch.destinations import Answer
from localcloud.vertex.batch.formats import EMBED_TEXT, GENERATE, RowFormat, format_of
from localcloud.vertex.batch.job_requests import JobRequest
from localcloud.vertex.request_checks import RequestChecks, check_fields

PARALLEL_REQUESTS = 8


class Answering:
    """Answers requests with a limited number of threads."""

    def __init__(self, backend: ModelBackend, checks: RequestChecks, models: ModelTable, clock: Clock) -> None:
        """Call the models of ``backend`` with requests that pass ``checks``; ``models`` says what each model returns."""
        self._backend = backend
        self._checks = checks
        self._models = models
        self._clock = clock

    def format_of(self, job: JobRequest) -> RowFormat:
        """Return the format of the rows of a job."""
        return format_of(job.model_id, self._models.known(job.model_id))

    def answers(
        self, job: JobRequest, rows: Iterator[dict[str, Any]], should_stop: Callable[[], bool]
    ) -> Iterator[Answer]:
        """Yield the answers in the order of the requests; stop early once ``should_stop`` returns true."""
        answer = self._answerer(job)
        if answers_at_once(self._backend):
            for row in rows:
                if should_stop():
                    return
                yield answer(row)
            return
        pool = ThreadPoolExecutor(PARALLEL_REQUESTS, thread_name_prefix="batch-request")
        waiting: deque[Future[Answer]] = deque()
        try:
            for row in rows:
                if should_stop():
                    break
                waiting.append(pool.submit(answer, row))
                if len(waiting) >= 2 * PARALLEL_REQUESTS:
                    yield waiting.popleft().result()
            while waiting:
                pending = waiting.popleft()
                if not (should_stop() and pending.cancel()):
                    yield pending.result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _answerer(self, job: JobRequest) -> Callable[[dict[str, Any]], Answer]:
        """Return the function that answers a row of the job."""
        rows = self.format_of(job)
        model = self._models.known(job.model_id)

        def generated(row: dict[str, Any]) -> tuple[Any, Any]:
            request = self._checks.parse_row(row.get("request"), job.project, job.location)
            response = self._backend.generate(job.model, request)
            return request, {"createTime": rfc3339_micros(self._clock.now()), **response}

        def predicted(row: dict[str, Any]) -> tuple[Any, Any]:
            assert model is not None, "the table of models has every embedding model"
            return None, [prediction(model, row)]

        def embedded(row: dict[str, Any]) -> tuple[Any, Any]:
            assert model is not None, "the table of models has every embedding model"
            request = self._checks.parse_json(row.get("request"))
            check_fields("EmbedContentRequest", request, "v1")
            return request, embed_content(model, request)

        respond = generated if rows is GENERATE else predicted if rows is EMBED_TEXT else embedded

        def answer(row: dict[str, Any]) -> Answer:
            try:
                request, response = respond(row)
                return Answer(row, request, response, None, self._clock.now())
            except BackendError as error:
                failure = error
            except RecursionError:
                failure = BackendError(400, "The request is nested too deeply.")
            return Answer(row, row.get(rows.request), None, failure, self._clock.now())

        return answer
