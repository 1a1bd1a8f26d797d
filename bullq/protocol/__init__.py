"""BullMQ's wire format: keys, states, options, records, events and return codes. Pure."""
