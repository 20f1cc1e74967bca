"""Hosts over SSH: each is a stack that says so."""
