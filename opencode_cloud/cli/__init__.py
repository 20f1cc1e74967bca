"""`occ`, the operator's command line: one file a noun, thin over ``opencode_cloud.ops``."""
