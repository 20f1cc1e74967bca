"""The accounts that may sign in: ordinary Unix accounts, members of one group."""

GROUP = "opencode-users"
LONGEST_PASSWORD = 511
"""Bytes that PAM takes."""
