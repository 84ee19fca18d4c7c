"""Google's published API descriptions, and the recorder and checks that hold calls against them."""
