"""The loop, what is minimised in it, and trained weights as files."""
