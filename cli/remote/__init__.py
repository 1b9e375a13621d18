"""Run creators' commands at a door, over HTTP, instead of in the database of this machine.

`door` chooses and asks; each other module asks for what the commands of one group need, in the shapes that they have
on the server, so that a command prints the same in both places.
"""
