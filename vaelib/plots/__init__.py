"""Arrays in, figures with alternative text out."""
