"""BigQuery on this machine: a layer of jobs, models and clients' ways in front of bqemulator and DuckDB.

server                           everything put together
app, messages, answers, rows     HTTP: which call goes where, how answers and rows read
uploads, discovery               files that come in pieces; Google's description of the API
service, jobs, runner, sessions  the job methods, what is known of jobs, the threads and cursors that they run on
quotas                           what is refused once it is asked for
queries, previews, definitions   what each kind of statement does, run or only looked at
statements, statement            GoogleSQL on its way to DuckDB; reading one statement
scripts, children                scripts, statement by statement on the same way, and the child jobs that they leave
failures, syntax, wording        what went wrong, in BigQuery's words
names, subscripts, translation   what sqlglot and bqemulator would misread or lose, put into other words for them
accounting, sizes                what is said of a query afterwards; bytes
destinations, results, schema    tables that are written, rows that are kept, types
transfers, loading, exporting    load, extract and copy jobs
table_methods, models, delegate  datasets, tables, models; and what bqemulator's own methods answer
engine, storage_api, tables      bqemulator's engine fit for threads; gRPC; the face for other local services
ml/                              BigQuery ML
"""

# Both must be imported before any part of bqemulator: importing it already logs, and copies its translator.
from localcloud.bigquery.base import quiet as quiet
from localcloud.bigquery.sql import translation as translation
