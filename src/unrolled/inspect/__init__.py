"""Pictures of what a model does; matplotlib is imported when one is drawn."""
