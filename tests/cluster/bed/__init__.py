"""Real Kubernetes clusters on this machine, for the tests.

A cluster is one network namespace (its "machine") with etcd, the control plane, containerd,
a kubelet, a DNS server and a CSI driver in it, all plain processes. Everything that was
built lies in a cache outside the tree, everything that runs below one state folder:
whoever removes what that folder names has removed the clusters.
"""
