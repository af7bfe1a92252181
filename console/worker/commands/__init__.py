"""What a worker can do, one module each: a function from the work to its result."""
