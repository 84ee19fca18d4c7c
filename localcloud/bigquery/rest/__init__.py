"""BigQuery's REST and gRPC methods."""
