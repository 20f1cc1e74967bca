"""What the operator's commands do: plain functions that print nothing.

``opencode_cloud.cli`` is how a person calls them. Nothing here imports Pulumi's or
pydantic's packages when it is loaded: commands that only look must be quick.
"""
