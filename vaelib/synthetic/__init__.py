"""Labelled synthetic images, and what they are worth to a classifier."""
