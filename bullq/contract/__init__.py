"""What jobs take and give, written down for other languages: JSON Schema and TypeScript."""
