"""The buttons: what gives the same machine to people without Pulumi, in their provider's own words.

Each is text that is rendered from the same description of the machine, with the provider's
parameters in the place of what people say. ``python -m opencode_cloud.derive`` writes them.
"""
