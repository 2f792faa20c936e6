"""What commands are made of: options, an open store, answers as text or JSON, and progress bars."""
