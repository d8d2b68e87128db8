"""What the terminal shows: tables and progress, as renderables. Prints nothing itself."""
