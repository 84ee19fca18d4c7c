"""Replaces the calls of ML functions in a statement by GoogleSQL expressions and subqueries: one module for each kind."""
