"""Images made from package registries (Go modules, Debian), for places without a container registry."""
