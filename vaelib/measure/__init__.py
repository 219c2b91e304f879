"""The numbers of a trained model."""
