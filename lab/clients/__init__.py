"""The only doors to the outside: processes, the container engine, the Kubernetes API, Helm, HTTP."""
