"""Results: fields, sets, costs and explanations, and their descriptions as text."""
