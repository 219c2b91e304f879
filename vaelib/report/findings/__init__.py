"""The values that the report's prose quotes, by the names of their placeholders: a module for each of its themes."""
