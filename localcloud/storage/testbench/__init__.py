"""Failures on request, as in the testbench with which Google tests the clients of Cloud Storage.

https://github.com/googleapis/storage-testbench#retry-test-api
"""
