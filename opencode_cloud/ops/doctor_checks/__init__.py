"""What `occ doctor` looks at: each module judges facts of one kind, and asks nothing itself."""
