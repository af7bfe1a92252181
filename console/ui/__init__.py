"""The desktop: pages, presenters and models; it reaches the engine by its root only."""
