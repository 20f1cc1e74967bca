"""The relay of streams: events and terminals, each for as long as the sign-in it belongs to."""
