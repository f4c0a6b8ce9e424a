"""Results: fields, sets, costs and explanations, and how they are put into words."""
