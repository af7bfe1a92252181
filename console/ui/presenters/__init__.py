"""One presenter per page: the engine and the live rows in, a view protocol out. No widgets."""
