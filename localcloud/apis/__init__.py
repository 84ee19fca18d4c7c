"""Google's published API descriptions, and the recorder and the checks of calls against them."""
