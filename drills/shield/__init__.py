"""Ask for hidden prompts in over two hundred ways, release two thousand honest answers, and count what was withheld."""
