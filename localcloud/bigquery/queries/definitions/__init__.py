"""Statements that define and change tables, views, policies and models."""
