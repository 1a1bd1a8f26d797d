"""The worker of one queue: claim, execute, settle, renew, recover, stop in order."""
