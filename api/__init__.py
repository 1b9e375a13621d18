"""The door: who may come in, and what did they pay?"""
