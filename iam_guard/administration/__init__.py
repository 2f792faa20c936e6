"""What changes a store for the application and its operators. No policy decides about it, and changes are recorded."""
