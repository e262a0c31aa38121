"""Kubernetes manifests: the schemas of custom resources, references among objects, and Spark's own pods."""
