"""What the container was told about the outside world, and nginx's configuration made of it."""
