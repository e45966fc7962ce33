"""What Cubic data is: values and rules, on the standard library alone."""
