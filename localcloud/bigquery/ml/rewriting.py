"""Replaces the ML functions and object tables in a GoogleSQL statement."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from localcloud.bigquery.base.connections import Connections
from localcloud.bigquery.base.session import Session
from localcloud.bigquery.ml.arguments import IMPORTANCE, PREDICT, TABLE_VALUED, CallArguments
from localcloud.bigquery.ml.calls import Call, Span, check_place, find_calls
from localcloud.bigquery.ml.features.images import IMAGE_FUNCTIONS
from localcloud.bigquery.ml.features.vectors import DISTANCE, SEARCH
from localcloud.bigquery.ml.generating.embedding_calls import EMBEDDING_CALLS
from localcloud.bigquery.ml.generating.embeddings import EMBEDDING_FUNCTIONS
from localcloud.bigquery.ml.generating.generated import TABLE_FUNCTIONS
from localcloud.bigquery.ml.models.catalog import ModelCatalog
from localcloud.bigquery.ml.objects.references import mentions_data, object_table_replacements, reject_ref
from localcloud.bigquery.ml.objects.tables import ObjectTables
from localcloud.bigquery.ml.predicting.functions import Functions
from localcloud.bigquery.ml.replacing.context import CallContext
from localcloud.bigquery.ml.replacing.embeddings import EmbeddingCalls
from localcloud.bigquery.ml.replacing.generation import SCALAR_FUNCTIONS, GenerationCalls
from localcloud.bigquery.ml.replacing.images import ImageCalls
from localcloud.bigquery.ml.replacing.importance import importance_subquery
from localcloud.bigquery.ml.replacing.predictions import PredictionCalls
from localcloud.bigquery.ml.replacing.preprocessing import PREPROCESSING, PreprocessingCalls, whole_span
from localcloud.bigquery.ml.replacing.vectors import VectorCalls
from localcloud.bigquery.sql.reading.tokens import without_comments
from localcloud.gemini.backends import ModelBackend
from localcloud.gemini.models import ModelTable

_MENTIONED = re.compile(rf"\b(?:(?:ML|AI|OBJ)\s*\.\s*[A-Z_]+|{SEARCH})\s*\(", re.IGNORECASE)
REWRITTEN_FUNCTIONS = TABLE_VALUED | PREPROCESSING | SCALAR_FUNCTIONS | {DISTANCE, *IMAGE_FUNCTIONS, *EMBEDDING_CALLS}


def may_call_functions(sql: str) -> bool:
    """Return False if ``sql`` cannot call an ML function. This check is fast."""
    return _MENTIONED.search(sql) is not None


class Rewriter:
    """Rewrites one statement."""

    def __init__(
        self,
        sql: str,
        session: Session,
        *,
        models: ModelCatalog,
        functions: Functions,
        objects: ObjectTables,
        connections: Connections,
        backend: ModelBackend | None,
        served: ModelTable,
        dry_run: bool,
    ) -> None:
        """Create a rewriter.

        Args:
            sql: The statement.
            session: The job that runs the statement.
            models: The existing models.
            functions: The registered DuckDB functions.
            objects: The object tables.
            connections: The connections that a call may name.
            backend: The backend of remote models, or None.
            served: The models that Vertex AI serves.
            dry_run: Whether the statement is only planned; it then loads no model.
        """
        self.sql = sql
        self.session = session
        self._rewritten: dict[tuple[Span, bool], str] = {}
        arguments = CallArguments(sql, session, self._rewrite, models=models, connections=connections, served=served)
        context = CallContext(sql, session, arguments, self._rewrite, functions)
        self._predictions = PredictionCalls(context)
        self._replace = _replacements_by_name(context, backend)
        self._dry_run = dry_run
        self._references = list(self._replace_object_tables(objects))
        if self._references:
            reject_ref(sql)

    def _replace_object_tables(self, objects: ObjectTables) -> Iterator[tuple[Span, str]]:
        if not objects.may_be_named_in(self.sql):
            return iter(())
        with_data = mentions_data(self.sql)
        return object_table_replacements(
            self.sql,
            objects.uris_by_table(self.session),
            lambda uris: objects.subquery(uris, self.session, with_data=with_data),
            project=self.session.project,
            default_dataset=self.session.default_dataset,
        )

    def rewrite(self) -> str:
        """Return the statement without ML functions and object tables.

        Raises:
            QueryError: A model does not exist, or a call is not valid.
        """
        # bqemulator rejects a text that names an ML function, even in a comment.
        return without_comments(self._rewrite(Span(0, len(self.sql)), streamed=not self._dry_run))

    def _rewrite(self, span: Span, *, streamed: bool = False) -> str:
        """Return a part of the statement without ML functions and object tables.

        Args:
            span: The part.
            streamed: Whether predictions can be streams. Only the job's own connection can read a stream, and the input
                of a stream is read by another connection.
        """
        if (span, streamed) not in self._rewritten:
            parts, at = [], span.start
            for place, text in self._replacements(span, streamed=streamed):
                parts += [self.sql[at : place.start], text]
                at = place.end
            self._rewritten[span, streamed] = "".join([*parts, self.sql[at : span.end]])
        return self._rewritten[span, streamed]

    def _replacements(self, span: Span, *, streamed: bool) -> list[tuple[Span, str]]:
        calls = [
            (whole_span(self.sql, call), self._replace_call(call, streamed=streamed))
            for call in find_calls(self.sql, REWRITTEN_FUNCTIONS, span)
        ]
        tables = [
            (place, text)
            for place, text in self._references
            if span.start <= place.start < span.end
            and not any(within.start <= place.start < within.end for within, _ in calls)
        ]
        return sorted(calls + tables, key=lambda replacement: replacement[0].start)

    def _replace_call(self, call: Call, *, streamed: bool) -> str:
        if call.name in TABLE_VALUED:
            check_place(self.sql, call)
        if call.name == PREDICT:
            return self._predictions.subquery(call, streamed=streamed)
        return self._replace[call.name](call)


def _replacements_by_name(context: CallContext, backend: ModelBackend | None) -> dict[str, Callable[[Call], str]]:
    """Return what replaces a call, by the name of its function, for all functions but ML.PREDICT."""
    vectors, embeddings = VectorCalls(context), EmbeddingCalls(context)
    generation = GenerationCalls(context, backend)
    return {
        **dict.fromkeys(PREPROCESSING, PreprocessingCalls(context).expression),
        **dict.fromkeys(IMAGE_FUNCTIONS, ImageCalls(context).expression),
        **dict.fromkeys(TABLE_FUNCTIONS, generation.subquery),
        **dict.fromkeys(SCALAR_FUNCTIONS, generation.expression),
        **dict.fromkeys(EMBEDDING_FUNCTIONS, embeddings.subquery),
        **dict.fromkeys(EMBEDDING_CALLS, embeddings.expression),
        DISTANCE: vectors.distance,
        SEARCH: vectors.search,
        IMPORTANCE: lambda call: importance_subquery(call, context.arguments),
    }
