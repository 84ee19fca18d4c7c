"""Jobs and the records that are kept of them."""
