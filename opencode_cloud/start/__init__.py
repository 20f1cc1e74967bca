"""What ``./start`` does, step by step, from a bare machine to a first login.

Standard library only: it runs before anything is installed.
"""
