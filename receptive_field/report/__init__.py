"""What is drawn and written of results; needs extras, and only reads."""
