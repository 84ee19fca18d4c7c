"""What all kinds of work share: the ledger, claims, steps, and the services that they use."""
