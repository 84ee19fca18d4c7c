"""The engine of all kinds of work: the ledger, claims, steps, and the services that they use."""
