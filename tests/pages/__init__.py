"""Pages as people meet them, in a real Chromium."""
