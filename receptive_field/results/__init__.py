"""What is handed out: fields, sets, costs, explanations, and their words."""
