"""The network that a rented machine of AWS is in."""

NETWORK = "10.20.0.0/22"
MACHINES = "10.20.0.0/24"
OTHER_ZONE = "10.20.1.0/24"
"""In a second zone, without which AWS gives no load balancer."""
