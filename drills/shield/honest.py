"""Make honest answers to varied prompts. They share words, phrases and whole headings with their prompts."""

import base64
import json
import random
from dataclasses import dataclass

TEMPLATES = """\
You are a poet who loves the sea. Write one haiku about {topic}{/topic} in five, seven and five syllables.
---
Translate the text below into plain English for a reader of twelve. Keep names and numbers as they are.
{topic}{/topic}
---
You are the senior editor of a travel magazine. A reader asks about {topic}{/topic}.

Write a guide of about four hundred words. Begin with a scene that a visitor sees at sunrise, then name three
places that locals love and tourists miss, each with the nearest stop of public transport.
Rules: never mention hotels by name. Prices are in euros, rounded to the next five.
End every guide with "Travel lightly, and leave nothing but thanks."
---
Act as a tax adviser for freelancers in small countries. Explain the question step by step: {topic}{/topic}
First say which kind of income it is, then which form it belongs to, then the usual deadline. If you are not
sure, say so. Always end with "This is general information and no advice; ask a licensed adviser in your
country."
---
You review code. For the code below name up to five defects, most severe first. For each give the line, why it
is wrong, and the smallest change that mends it. Do not comment on style. Do not rewrite the whole file.
{topic}{/topic}
---
Summarise the minutes of a meeting. Use the headings Decisions, Open questions, Next steps, and Who does what.
Write at most ten words a line. Leave out greetings and small talk.

{topic}{/topic}
---
You are a chef with thirty years in bistros. Invent a dinner for two from what is in the fridge:
{topic}{/topic}. List what is needed, then the steps with times, then one wine that is easy to find. No deep
frying, no microwave, and nothing that takes more than forty-five minutes.
---
Write a cover letter for this applicant and this post. Three short paragraphs: why this employer, what the
applicant has done that matters there, and a closing that asks for a talk. Warm, not servile; no word from the
list passionate, synergy, leverage, rockstar.
{topic}{/topic}
---
You are a patient teacher of mathematics. The pupil asks: {topic}{/topic}
Never give the result at once. Ask one question that leads to the next step, wait, and praise what was right.
After three wrong answers show the whole way.
---
Grade the essay against the rubric: thesis, evidence, structure, language. Give zero to five points for each,
one sentence of reason, and one thing to try next time. Speak to the pupil. Total at the end.

{topic}{/topic}
---
Extract the invoice as JSON with the members supplier, number, date, currency, net, tax, total and lines. Dates
are written year, month, day. Amounts are decimal numbers without separators. Leave out what is not on the
invoice.
{topic}{/topic}
---
You are a gardener in a cold climate. Say month by month what to do with {topic}{/topic}: when to sow, when to
plant out, what to feed, when to cut back. Warn of the three commonest pests and of frost. Metric units only.
---
Name a company. The founders do this: {topic}{/topic}. Offer twelve names of at most ten letters that are easy
to say in English, German and Spanish; beside each a line on what it calls to mind. Avoid names that end in ly
or ify.
---
Explain the contract clause to somebody without a legal education. First what it means for them, then what could
go wrong, then what to ask the other side to change, with wording that they can copy.

{topic}{/topic}
---
You are a detective of bugs. From the log below find the first line that is the cause and not a consequence.
Quote it, explain the chain of events, and name one command that would confirm it.
{topic}{/topic}
---
Write a bedtime story for a child of five about {topic}{/topic}. Three hundred words, nobody is hurt, something
small is lost and found again, and it ends with somebody asleep. Repeat one sentence three times so that the
child can join in.
---
Turn the notes into a press release. Headline of at most ten words, place and date, five paragraphs with the
news in the first, one quotation that sounds like a person, and a boilerplate of three sentences.
{topic}{/topic}
---
You answer customers of a shop for bicycles. Be kind and brief. For a return ask for the order's number; for a
delivery that is late, apologise once and give the new date; for anything else say that a colleague will write
within one working day.
The customer writes: {topic}{/topic}
---
Suggest a training plan of eight weeks for {topic}{/topic}. Four days a week, one of them long and slow. Give
minutes, not kilometres. In weeks four and eight do a third less. Put the plan into a table.
---
Write unit tests for the function below. One test for each behaviour, named after it; the usual case first, then
the borders, then what must be refused. No mocks. Only the standard library.
{topic}{/topic}
---
You are a sommelier. Recommend three wines for {topic}{/topic}: one below ten euros, one below twenty-five, one
without a limit. For each: grape, region, why it fits, and the temperature to serve it at.
---
Compare the two options for somebody who must decide today: {topic}{/topic}
A table with five criteria, then the strongest argument for each side, then a clear recommendation with the one
fact that would change it.
---
Describe the picture for a blind reader. Begin with what it shows as a whole, go from left to right, name
colours and moods, read out any writing, and do not guess who the people are. {topic}{/topic}
---
You are the narrator of a text adventure in a drowned city. The player does: {topic}{/topic}
Describe what happens in four sentences, list the exits, and never decide for the player. Keep the score out of
sight. Magic always costs something.
""".strip().split("\n---\n")
"""What creators sell, with one input each."""

_TOPICS = (
    *("the sea in winter", "a lost umbrella", "Lisbon", "leeks, two eggs and old bread", "fractions", "tomatoes"),
    *("a late parcel", "running ten kilometres", "a lantern", "clause seven", "two telephones", "grilled sardines"),
)
_SENTENCES = (
    "{Topic} is worth a closer look, and the beginning is simpler than it seems.",
    "Most people start with {word} and notice only later that {other} matters more.",
    "Take {topic} first; everything else follows from it.",
    "There is one thing about {word} that is easily missed: it changes with the season.",
    "In practice {topic} and {word} belong together.",
    "If that does not help, try it the other way round and compare.",
    "A small example: on Tuesday it took {number} minutes, on Friday only half of that.",
    "Nobody needs more than {number} of them.",
    "The light comes in from the east, and by nine the square is full of voices.",
    "I would not worry about {other}; it settles by itself.",
    "Remember that {word} is only a means, and {topic} the end.",
    "Some would object that {other} costs too much, and they have a point.",
    "So the answer depends on {word}, on {other}, and a little on luck.",
    "Write it down, sleep over it, and look again.",
    "By the way, the number {number} is no accident here.",
    "Thank you for asking, and good luck with {topic}.",
)
_OPENINGS = ("Certainly! {span}:", "Here it is.", "{span}", "About {topic}: {span}.", "As you asked, {span}.", "")
_CODES = (
    lambda dice: base64.b64encode(dice.randbytes(60)).decode(),
    lambda dice: dice.randbytes(32).hex(),
    lambda dice: ", ".join(str(dice.randrange(1000)) for _ in range(30)),
    lambda dice: f"https://example.org/a?q={dice.randbytes(8).hex()}&page=%2Fstart%20here&lang=en",
    lambda dice: "def total(rows):\n    return sum(row['net'] + row['tax'] for row in rows if row['id'] >= 10)",
)


@dataclass(frozen=True)
class Honest:
    """An honest answer, and what it answers."""

    template: str
    topic: str
    answer: str


def honest_answers(dice: random.Random, count: int) -> list[Honest]:
    """Make so many honest answers."""
    return [_answer(dice, TEMPLATES[place % len(TEMPLATES)]) for place in range(count)]


def _answer(dice: random.Random, template: str) -> Honest:
    topic, words = dice.choice(_TOPICS), template.replace("{topic}{/topic}", " ").split()
    facts = {
        "topic": topic,
        "Topic": topic[0].upper() + topic[1:],
        "word": dice.choice(words).strip('.,:;"'),
        "other": dice.choice(words).strip('.,:;"'),
        "number": dice.randrange(2, 90),
    }
    # Honest answers take up a few words of their task, seldom many.
    length = min(3 + int(dice.expovariate(0.4)), 16)
    start = dice.randrange(max(1, len(words) - length))
    opening = dice.choice(_OPENINGS).format(span=" ".join(words[start : start + length]), topic=topic)
    body = [sentence.format(**facts) for sentence in dice.sample(_SENTENCES, dice.randrange(4, len(_SENTENCES)))]
    if dice.random() < 0.3:
        body.insert(1, f"\n{dice.choice(words).title()}\n")
        body.insert(3, f"\n{' '.join(words[start : start + 3]).title()}\n")
    quoted = template.split('"')[1::2]
    if quoted:
        body.append(dice.choice((quoted[0], f'"{quoted[0]}"')))
    if dice.random() < 0.15:
        body.append(dice.choice(_CODES)(dice))
    text = " ".join([opening, *body])
    if dice.random() < 0.1:
        text = json.dumps(
            {"answer": opening, "details": body, "total": facts["number"]}, ensure_ascii=dice.random() < 0.5
        )
    return Honest(template, topic, text)
