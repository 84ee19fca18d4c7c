"""What all of the local BigQuery uses: errors, schemas, Google's API description, the interface of a running job."""
