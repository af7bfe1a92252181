"""Side by side with other tools: ratios in one run."""
