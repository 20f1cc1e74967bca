"""Gives opencode's answers a validator, so that what a browser has already is not sent again."""
