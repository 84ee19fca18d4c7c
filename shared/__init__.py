"""The code that the functions share. Endpoints come from settings and from the clients' own variables."""
