"""BigQuery on this machine: jobs, models and BigQuery's REST and gRPC APIs on top of bqemulator and DuckDB.

Each package imports only the packages below it:

server.py    puts everything together
rest/        the REST and Storage APIs: requests, responses, routes
running/     the job methods, the threads that run jobs, the job journal, quotas
queries/     what each kind of statement does; scripts, dry runs, load, extract and copy jobs
ml/          BigQuery ML
tables/      the DuckDB engine, written tables, kept results, sizes, sessions
javascript/  functions in JavaScript
sql/         GoogleSQL: tokens, names, translation to DuckDB's SQL, error messages
job/         jobs and their records
base/        errors, schemas, Google's API description, the interface of a running job
"""

# Import both before any part of bqemulator: it already logs on import, and its modules copy the name of the translator
# that `translation` replaces. Python runs this file before any module of the package, so the order always holds.
from localcloud.bigquery.base import quiet as quiet
from localcloud.bigquery.sql import translation as translation
