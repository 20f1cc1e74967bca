"""The session service: nginx asks it about every request who is there, and if opencode is well."""
