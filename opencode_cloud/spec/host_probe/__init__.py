"""What there is to know of a machine before something is deployed to it: asked, and read."""
