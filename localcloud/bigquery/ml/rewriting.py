"""Replaces the ML functions and object tables in a GoogleSQL statement."""

from __future__ import annotations

import re
from collections.abc import Iterator

from localcloud.bigquery.base.call_statistics import CallStatistics
from localcloud.bigquery.base.connections import Connections
from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.base.session import Column, Session
from localcloud.bigquery.ml.arguments import IMPORTANCE, TABLE_VALUED, CallArguments, split_items
from localcloud.bigquery.ml.calls import (
    QUERY_VALUE,
    Argument,
    Call,
    Span,
    check_place,
    find_calls,
)
from localcloud.bigquery.ml.features.images import DECODE_AND_RESIZE, IMAGE_FUNCTIONS, ImageFunction
from localcloud.bigquery.ml.features.vectors import (
    DEFAULT_TYPE,
    DISTANCE,
    DISTANCE_FUNCTION,
    DISTANCE_PARAMETERS,
    SEARCH,
    distances,
    prepare_search,
)
from localcloud.bigquery.ml.generating.embedding_calls import EMBEDDING_CALLS, prepare_call
from localcloud.bigquery.ml.generating.embeddings import EMBEDDING_FUNCTIONS, prepare_embedding
from localcloud.bigquery.ml.generating.generated import (
    SCALAR_FUNCTION,
    TABLE_FUNCTIONS,
    TYPED_FUNCTIONS,
    GeneratedCalls,
    create_request,
)
from localcloud.bigquery.ml.generating.generation import check_generates
from localcloud.bigquery.ml.generating.managed import (
    MANAGED_FUNCTIONS,
    allowed_errors,
    check_arguments,
    managed_request,
)
from localcloud.bigquery.ml.models.catalog import ModelCatalog
from localcloud.bigquery.ml.objects.references import mentions_data, object_table_replacements, reject_ref
from localcloud.bigquery.ml.objects.tables import ObjectTables
from localcloud.bigquery.ml.predicting.functions import Functions
from localcloud.bigquery.ml.predicting.prediction import (
    Prediction,
    prepare_prediction,
    string_literal,
)
from localcloud.bigquery.ml.predicting.streaming import open_stream, source_query
from localcloud.bigquery.ml.preprocessing_calls import PREPROCESSING, PreprocessingCalls, whole_span
from localcloud.bigquery.ml.surroundings import reject_ambiguous_columns
from localcloud.bigquery.sql.reading.tokens import (
    Cursor,
    without_comments,
)
from localcloud.gemini.backends import ModelBackend
from localcloud.gemini.models import ModelTable

_MENTIONED = re.compile(rf"\b(?:(?:ML|AI|OBJ)\s*\.\s*[A-Z_]+|{SEARCH})\s*\(", re.IGNORECASE)
# The name of a field of a STRUCT.
_ALIAS = re.compile(r"\s+AS\s+(?:\w+|`[^`]+`)\s*$", re.IGNORECASE)
_SCALAR_FUNCTIONS = frozenset({SCALAR_FUNCTION, *TYPED_FUNCTIONS, *MANAGED_FUNCTIONS})
REWRITTEN_FUNCTIONS = TABLE_VALUED | PREPROCESSING | _SCALAR_FUNCTIONS | {DISTANCE, *IMAGE_FUNCTIONS, *EMBEDDING_CALLS}


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
        self._functions = functions
        self._generated = GeneratedCalls(backend, functions, session.connection)
        self._rewritten: dict[tuple[Span, bool], str] = {}
        self._arguments = CallArguments(
            sql, session, self._rewrite, models=models, connections=connections, served=served
        )
        self._preprocessing = PreprocessingCalls(sql, self._arguments, self._rewrite, functions, session.connection)
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
        if call.name in PREPROCESSING:
            return self._preprocessing.expression(call)
        if call.name in IMAGE_FUNCTIONS:
            return self._replace_image_call(call)
        if call.name in TABLE_FUNCTIONS:
            return self._replace_table_call(call)
        if call.name in _SCALAR_FUNCTIONS:
            return self._replace_scalar_call(call)
        if call.name in EMBEDDING_FUNCTIONS:
            return self._replace_embedding_call(call)
        if call.name in EMBEDDING_CALLS:
            return self._replace_scalar_embedding_call(call)
        if call.name == DISTANCE:
            return self._replace_distance_call(call)
        if call.name == SEARCH:
            return self._replace_search_call(call)
        if call.name == IMPORTANCE:
            return self._replace_importance_call(call)
        prediction, columns = self._prepare_prediction(call)
        function = self._functions.register_model(self.session.connection, prediction.model)
        subquery = prediction.sql(function, self._functions.job_number(self.session.cancelled))
        if not streamed:
            return subquery
        query = self._arguments.with_tables(source_query(prediction), call.span.start)
        stream = open_stream(prediction, columns, query, self.session, self._functions)
        if stream is None:
            return subquery
        # The second half returns no rows. It keeps the names of all tables that the statement reads.
        return f"(SELECT * FROM {stream} UNION ALL SELECT * FROM {subquery} WHERE FALSE)"

    # Images

    def _replace_image_call(self, call: Call) -> str:
        function, arguments = IMAGE_FUNCTIONS[call.name], list(call.arguments)
        if call.name == "ML.RESIZE_IMAGE" and arguments:
            inner = self._whole_call(arguments[0], "ML.DECODE_IMAGE")
            if inner is not None and len(inner.arguments) == 1:
                function, arguments[0] = DECODE_AND_RESIZE, inner.arguments[0]
        if len(arguments) != len(function.parameters):
            raise self._arguments.invalid(call, f"it takes {len(IMAGE_FUNCTIONS[call.name].parameters)} arguments.")
        rewritten = ", ".join(self._rewrite(argument.span) for argument in arguments)
        return f"{self._register(function)}({rewritten})"

    def _whole_call(self, argument: Argument, name: str) -> Call | None:
        """Return the call of ``name`` if an argument consists of nothing else, or None."""
        calls = list(find_calls(self.sql, frozenset({name}), argument.span))
        return calls[0] if len(calls) == 1 and calls[0].span == argument.span else None

    def _register(self, function: ImageFunction) -> str:
        return self._functions.register(
            self.session.connection, function.name, function.function, list(function.parameters), function.returns
        )

    # Vectors

    def _replace_embedding_call(self, call: Call) -> str:
        model, query, options = self._arguments.remote_call(call)
        embedding = prepare_embedding(call.name, model, options)
        columns = self._arguments.describe(call, query)
        subquery = embedding.sql(query, columns, self._call_number(call))
        self._functions.register_counted(
            self.session.connection,
            embedding.duckdb_function,
            embedding.answer,
            list(embedding.parameters),
            embedding.returns,
            "status",
        )
        return subquery

    def _replace_scalar_embedding_call(self, call: Call) -> str:
        names = EMBEDDING_CALLS[call.name]
        given = self._arguments.named_arguments(call, names)
        texts = [given.pop(name, None) for name in names]
        if "model" in given:
            raise QueryError(
                f"{call.name}: models that run in BigQuery (model) are not available in the local BigQuery: use an "
                "endpoint.",
                reason="notImplemented",
                location="query",
            )
        if None in texts or "endpoint" not in given:
            raise self._arguments.invalid(call, f"it takes {' and '.join(names)}, and an endpoint.")
        options = {name: self._arguments.evaluate(argument.span) for name, argument in given.items()}
        endpoint = self._arguments.endpoint(options)
        embedding = prepare_call(call.name, endpoint, options)
        answer = embedding.vectors if len(names) == 1 else embedding.similarities
        self._functions.register_counted(
            self.session.connection,
            embedding.duckdb_function,
            answer,
            embedding.parameters,
            embedding.returns,
            "status",
        )
        return embedding.sql([self._rewrite(text.span) for text in texts if text], self._call_number(call))

    def _call_number(self, call: Call, prompt: str | None = None, max_error_ratio: float | None = None) -> int:
        """Return the number by which the rows of a call are counted."""
        statistics = CallStatistics(call.name, prompt, max_error_ratio)
        self.session.model_calls.append(statistics)
        return self._functions.call_number(statistics)

    def _replace_distance_call(self, call: Call) -> str:
        if not 2 <= len(call.arguments) <= 3:
            raise self._arguments.invalid(call, "it takes two vectors and a type of distance.")
        first, second, *rest = (self._rewrite(argument.span) for argument in call.arguments)
        kind = rest[0] if rest else string_literal(DEFAULT_TYPE)
        vectors = ", ".join(f"CAST({vector} AS ARRAY<FLOAT64>)" for vector in (first, second))
        return f"{self._register_distance()}({vectors}, {kind})"

    def _replace_search_call(self, call: Call) -> str:
        given = self._arguments.named_arguments(call, ("base", "column_to_search", "query", "query_column_to_search"))
        base, column, query = (given.pop(name, None) for name in ("base", "column_to_search", "query"))
        if base is None or column is None or query is None or "query_value" in given:
            raise self._arguments.invalid(
                call,
                "it takes a table, a column, and a table or a query of the vectors to search for, or query_value.",
            )
        options = {name: self._arguments.evaluate(argument.span) for name, argument in given.items()}
        wanted = self._described(call, self._arguments.query(call, query))
        search = prepare_search(
            self._described(call, self._arguments.query(call, base)),
            str(self._arguments.evaluate(column.span)),
            wanted,
            options,
            single=[each.name for each in wanted[1]] == [QUERY_VALUE],
        )
        return search.sql(self._register_distance())

    def _described(self, call: Call, query: str) -> tuple[str, list[Column]]:
        return query, self._arguments.describe(call, query)

    def _register_distance(self) -> str:
        return self._functions.register(
            self.session.connection, DISTANCE_FUNCTION, distances, list(DISTANCE_PARAMETERS), "DOUBLE"
        )

    # Generated text

    def _replace_table_call(self, call: Call) -> str:
        model, query, options = self._arguments.remote_call(call)
        check_generates(call.name, model)
        request = create_request(call.name, model, options)
        columns = self._arguments.describe(call, query)
        prompt = options.get("prompt")
        number = self._call_number(call, None if prompt is None else str(prompt))
        return self._generated.table(request, query, columns, number, prompt)

    def _replace_scalar_call(self, call: Call) -> str:
        first = "input" if call.name == "AI.CLASSIFY" else "prompt"
        given = self._arguments.named_arguments(call, (first, "categories") if call.name == "AI.CLASSIFY" else (first,))
        prompt = given.pop(first, None)
        if prompt is None:
            raise self._arguments.invalid(call, f"it takes {'an' if first == 'input' else 'a'} {first}.")
        managed = call.name in MANAGED_FUNCTIONS
        if managed:
            check_arguments(call.name, given.keys() - {"connection_id", "endpoint"})
        embeddings = given.pop("embeddings", None) if managed else None
        options = {name: self._arguments.evaluate(argument.span) for name, argument in given.items()}
        endpoint = self._arguments.endpoint(options)
        check_generates(call.name, endpoint)
        text, struct = self._rewrite_prompt(prompt)
        if embeddings is not None:
            # They have no effect, but a column that does not exist or is not an array is an error.
            text = f"STRUCT({text} AS prompt, ARRAY_LENGTH({self._rewrite(embeddings.span)}) AS embedded).prompt"
        written = prompt.span.text_in(self.sql)
        if managed:
            request = managed_request(call.name, endpoint, options, with_embeddings=embeddings is not None)
            number = self._call_number(call, written, allowed_errors(call.name, options))
        else:
            request = create_request(call.name, endpoint, options)
            number = self._call_number(call, written)
        return self._generated.scalar(request, text, number, struct=struct)

    def _rewrite_prompt(self, prompt: Argument) -> tuple[str, bool]:
        """Return the GoogleSQL of a prompt, and whether it is a STRUCT, such as ``(a, b)``."""
        cursor = Cursor(self.sql, prompt.first, prompt.last)
        struct = cursor.take_words("STRUCT")
        opening = cursor.peek()
        if opening is None or not opening.is_symbol("("):
            return self._rewrite(prompt.span), False
        inside = Span(*cursor.skip_group())
        items = list(split_items(self.sql, inside))
        if cursor.peek() is not None or (len(items) == 1 and not struct):
            return self._rewrite(prompt.span), False
        values = [Span(item.start, item.start + len(_ALIAS.sub("", item.text_in(self.sql)))) for item in items]
        fields = ", ".join(f"{self._rewrite(value)} AS part{index}" for index, value in enumerate(values))
        return f"STRUCT({fields})", True

    # Predictions

    def _replace_importance_call(self, call: Call) -> str:
        """Return the subquery of ML.FEATUREIMPORTANCE.

        https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-importance
        """
        if len(call.arguments) != 1:
            raise self._arguments.invalid(call, "it takes a model.")
        model = self._arguments.model(call)
        if model.type != "XGBOOST" or model.signature is None:
            raise self._arguments.invalid(call, f"it is for boosted trees, and model {model.reference} is not one.")
        rows = ", ".join(
            f"STRUCT({string_literal(each.feature)} AS feature, CAST({each.weight!r} AS FLOAT64) AS importance_weight, "
            f"CAST({each.gain!r} AS FLOAT64) AS importance_gain, CAST({each.cover!r} AS FLOAT64) AS importance_cover)"
            for each in model.signature.importance
        )
        if not rows:
            raise self._arguments.invalid(
                call, f"model {model.reference} has no splits. Import it again if it has trees."
            )
        return f"(SELECT * FROM UNNEST([{rows}]))"

    def _prepare_prediction(self, call: Call) -> tuple[Prediction, list[Column]]:
        """Return a validated call of ML.PREDICT, and the columns of its input.

        Raises:
            QueryError: The model does not exist, or the input does not match it.
        """
        if not 2 <= len(call.arguments) <= 3:
            raise self._arguments.invalid(call, "it takes a model, a table or a query, and optionally a STRUCT.")
        model = self._arguments.model(call)
        query = self._arguments.query(call, call.arguments[1])
        if len(call.arguments) == 3:
            self._arguments.check_options(call, call.arguments[2], model)
        columns = self._arguments.describe(call, query)
        prediction = prepare_prediction(model, query, columns, sql=self.sql, offset=call.span.start)
        if prediction.repeats:
            reject_ambiguous_columns(self.sql, call.span, prediction.columns)
        return prediction, columns
