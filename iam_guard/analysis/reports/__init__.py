"""Findings as one HTML page for people. Import from `access_report`."""
