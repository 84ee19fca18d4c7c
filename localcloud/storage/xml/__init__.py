"""The part of Cloud Storage's XML API that signed URLs and uploads in parts need.

https://cloud.google.com/storage/docs/xml-api/overview
"""
