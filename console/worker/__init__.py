"""What runs inside a worker pod: it moves bytes and knows no Kubernetes."""
