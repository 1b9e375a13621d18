"""Measure how much later than the provider a buyer gets the words of a streamed answer.

A model that stamps each word with the moment it sends it stands behind our door, where flows run in the door's process,
or in an executor; and, for comparison, behind a proxy that does nothing but pass the bytes on. Calls alternate between
them, so that other load on the machine affects all. The clock is the machine's own, for all processes.
"""

import asyncio
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

import httpx
import uvloop
from aiohttp import ClientSession, web

from bench.load_stage import Stage, stage
