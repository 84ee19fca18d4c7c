"""The processes of the functions, and the packages that they can import."""
