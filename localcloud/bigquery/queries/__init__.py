"""What each kind of statement, script and transfer does."""
