"""What happened: finds work in the ledger, and says in words what became of it."""
