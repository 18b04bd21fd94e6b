"""Accounts and transfers of the home operators, double entry, pure.  TS 32.296 (account balance management)."""
