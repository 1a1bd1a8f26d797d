"""The shop's jobs, one file each: `<queue>/<job>_service.py`."""
