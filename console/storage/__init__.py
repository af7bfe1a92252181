"""Object stores behind one protocol: s3, files, memory, and the wrappers retrying and readonly."""
