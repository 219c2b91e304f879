"""A notebook's parameters and its record."""
