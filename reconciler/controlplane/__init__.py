"""An embedded Kubernetes API server for one machine.

One process, one SQLite file, no cluster: discovery, custom resources with
structural schemas, watches, server-side apply and garbage collection, so that
kubectl, kopf and the official clients work against it. Nothing here imports
another part of the project; see `reconciler.controlplane.server`.
"""
