"""Talk to other servers: HTTP connections, JSON requests, circuit breakers."""
