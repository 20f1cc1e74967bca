"""The Pulumi engine and its plugins, built from Go modules."""
