"""Reading GoogleSQL as text and as a tree: tokens, names, literals, statements."""
