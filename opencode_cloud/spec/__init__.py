"""What a deployment is made of, as plain values: settings in, specifications out."""
