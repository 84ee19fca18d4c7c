"""The ledger: the record of open and finished work, and the objects that hold it."""
