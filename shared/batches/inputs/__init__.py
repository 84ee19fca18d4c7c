"""The input of a batch, before money is spent: the rules for requests, and checks of tables, files and prompts."""
