"""The JSON API of Cloud Storage: https://cloud.google.com/storage/docs/json_api."""
