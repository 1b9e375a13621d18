"""Attack one door in every known way at once, beside honest buyers who must not notice.

`grounds` is what attackers know, `attacks` lists all attacks with their rates, `honest` are the buyers, `watch` looks
at the door itself, and `course` runs them and judges.
"""

from drills.siege.attacks import NAMES as NAMES
from drills.siege.course import SETTINGS as SETTINGS
from drills.siege.course import drill as drill
