"""What is measured and predicted: pure functions, and one declaration for each observable."""
