"""STRUCTs and arrays: the names of fields, elements, and which fields belong together."""
