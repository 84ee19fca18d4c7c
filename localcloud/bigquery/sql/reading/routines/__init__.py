"""The statements that create, name and drop routines, in forms that bqemulator reads."""
