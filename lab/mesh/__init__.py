"""One Cilium Cluster Mesh over all clusters of a lab, and the proof that it carries traffic."""
