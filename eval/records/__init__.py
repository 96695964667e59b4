"""What is measured, on what, and what was found: quantities, subjects and records."""
