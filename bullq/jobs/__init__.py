"""What business code sees of bullq: jobs, their context, retries. Knows no engine. Pure."""
