"""BigQuery on this machine: a layer of jobs, models and clients' ways in front of bqemulator and DuckDB.

server                      everything put together
app, messages, answers      HTTP: which call goes where, and how answers read
service, jobs, runner       the job methods, what is known of jobs, the threads that run them
queries, statements         what each kind of statement does; GoogleSQL on its way to DuckDB
statement, schema, sizes    reading one statement; types; bytes
destinations, results       tables that are written; rows that are kept
transfers, loading, exporting   load, extract and copy jobs
delegate, engine            bqemulator's HTTP methods and its engine, fit for threads
ml/                         BigQuery ML
"""

from localcloud.bigquery import quiet as quiet
from localcloud.bigquery.errors import NotFound, QueryError
from localcloud.bigquery.server import BigQuery
from localcloud.bigquery.session import Column, Session
from localcloud.bigquery.tables import Tables

__all__ = ["BigQuery", "Column", "NotFound", "QueryError", "Session", "Tables"]
