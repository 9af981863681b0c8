"""The language model as the service uses it: admission control, circuit breaker, deadline."""
