"""What was found wrong, until somebody or time has taken care of it: alerts."""
