"""What people type and import: the command ``modeldrop``, and the tools around model files."""
